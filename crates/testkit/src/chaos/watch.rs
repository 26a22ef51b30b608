//! Asks every node again and again how it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::crowd::Clock;
use super::health::since::{self, Since};
use super::health::{Sample, Watched};
use crate::{Metrics, Request};

/// Between two looks at a node.
const INTERVAL: Duration = Duration::from_millis(200);
/// A node that does not answer is busy or gone; that is not what this looks at.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen of all nodes; the tasks that look end when this is dropped.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    seen: Arc<Mutex<Vec<Watched>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Looks at nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, seen: Arc::default(), tasks: Vec::new() }
    }

    /// Looks at a node whenever it is `awake`, until this is dropped.
    pub fn look_at(&mut self, node: &str, addr: SocketAddr, awake: Arc<AtomicBool>) {
        let index = {
            let mut seen = self.seen.lock().expect("nobody panics with the samples");
            seen.push(Watched { node: node.into(), samples: Vec::new() });
            seen.len() - 1
        };
        let (clock, seen) = (self.clock, Arc::clone(&self.seen));
        self.tasks.push(tokio::spawn(async move {
            loop {
                sleep(INTERVAL).await;
                if !awake.load(Ordering::Relaxed) {
                    continue;
                }
                let at = clock.now();
                let sample = timeout(PATIENCE, look(clock, at, addr)).await;
                // What was seen of a node that has been stopped meanwhile is not what it says of itself.
                if let (Ok(Some(sample)), true) = (sample, awake.load(Ordering::Relaxed)) {
                    seen.lock().expect("nobody panics with the samples")[index].samples.push(sample);
                }
            }
        }));
    }

    /// What was seen until now.
    pub fn seen(&self) -> Vec<Watched> {
        self.seen.lock().expect("nobody panics with the samples").clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn look(clock: Clock, at: u64, addr: SocketAddr) -> Option<Sample> {
    let ready = Request::get("/readyz").try_send(addr).await.ok()?.status == 200;
    let metrics = Metrics::parse(&Request::get("/metrics").try_send(addr).await.ok()?.body);
    let up = metrics.sum("chorus_bus_up") > 0.5;
    // None of them is negative.
    let count = |name| metrics.sum(name).to_string().parse().unwrap_or(0);
    let filled = count("chorus_bus_holes_filled_total");
    let resident = count("process_resident_memory_bytes");
    let since = match metrics.get(since::METRIC) {
        None => Since::Unsaid,
        Some(unix) if unix <= 0.0 => Since::Up,
        Some(unix) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            Since::Down(clock.now().cast_signed() - ((now - unix) * 1000.0) as i64)
        }
    };
    Some(Sample { at, ready, up, since, filled, resident })
}
