//! What the faults happen to: a Redis of some shape, and gateways that reach it through proxies of their own.

mod logs;
mod network;
mod shape;
mod store;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;

use super::crowd::{Clock, Doors};
use super::history::Log;
use super::watch::Watch;
use crate::{Gateway, GatewayOptions, PATIENCE, Request, free_port};
pub use network::{Network, Ways};
pub use shape::{Oks, Shape};
pub use store::Store;

/// With it the moderator calls.
pub const API_KEY: &str = "a key that only the run knows";

/// A gateway that takes longer to say how it is hangs.
const SOON: Duration = Duration::from_secs(2);

/// How a gateway is configured, so that one can come back with another configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As all begin.
    Usual,
    /// Tails so small that whoever comes back reads from the log; another heartbeat, another linger.
    Lean,
}

impl Variant {
    fn config(self, shape: Shape) -> String {
        let history = shape.history();
        let (tail, heartbeat, linger) = match self {
            Self::Usual => (262_144, 4000, 2000),
            Self::Lean => (4096, 2500, 100),
        };
        format!(
            "drain_seconds = 2\n[limits]\nframes_per_second = 10000\nframe_burst = 10000\n\
             connections_per_address = 20000\naccepts_per_second = 1000\n\
             [history]\nlength = 1000000\n{history}[tail]\nbytes = {tail}\n\
             [heartbeat]\ninterval_ms = {heartbeat}\n[rooms]\nlinger_ms = {linger}\n"
        )
    }
}

/// A gateway's place: its name, its port and its ways to Redis stay the same, whoever sits there.
#[derive(Debug)]
pub struct Seat {
    /// The node's name.
    pub name: Arc<str>,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its ways to Redis.
    pub network: Network,
    gateway: Option<Gateway>,
    /// Whether its health is worth asking for.
    awake: Arc<AtomicBool>,
}

/// The whole cluster.
#[derive(Debug)]
pub struct Arena {
    /// What is behind the gateways.
    pub shape: Shape,
    /// What carries the rooms.
    pub store: Store,
    /// The gateways.
    pub seats: Vec<Seat>,
    /// What its nodes say of themselves.
    pub watch: Watch,
    doors: Doors,
    binary: PathBuf,
    clock: Clock,
    /// What gateways that are gone had logged.
    logs: Vec<(Arc<str>, String)>,
}

impl Arena {
    /// Starts everything, and waits until it is ready.
    pub async fn start(shape: Shape, binary: &Path, gateways: usize, clock: Clock) -> Self {
        let mut arena = Self {
            shape,
            store: Store::start(shape).await,
            seats: Vec::new(),
            watch: Watch::new(clock),
            doors: Doors::default(),
            binary: binary.to_owned(),
            clock,
            logs: Vec::new(),
        };
        for _ in 0..gateways {
            arena.add().await;
        }
        arena
    }

    /// Where the gateways listen.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// One more gateway.
    pub async fn add(&mut self) {
        let name: Arc<str> = format!("node-{}", self.seats.len()).into();
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let network = Network::open(self.seats.len(), &self.store).await;
        let awake = Arc::new(AtomicBool::new(false));
        self.watch.look_at(&name, addr, Arc::clone(&awake));
        self.seats.push(Seat { name, addr, network, gateway: None, awake });
        self.open(self.seats.len() - 1, Variant::Usual).await;
        self.doors.write().expect("nobody panics with the doors").push(addr);
    }

    /// Takes the last gateway away, with a drain.
    pub async fn remove(&mut self) {
        self.doors.write().expect("nobody panics with the doors").pop();
        self.close(self.seats.len() - 1, Signal::TERM).await;
        self.seats.pop();
    }

    /// Starts a gateway in its place and waits until it is ready.
    pub async fn open(&mut self, index: usize, variant: Variant) {
        // A gateway refuses to start where there are fewer replicas than its `ok`s wait for.
        self.store.whole().await;
        let seat = &mut self.seats[index];
        let options = GatewayOptions::new(&self.binary)
            .config(&variant.config(self.shape))
            .env("CHORUS_API_KEYS", API_KEY)
            .env("CHORUS_REDIS_URL", self.store.url(&seat.network.host()))
            .listen(&seat.addr.to_string())
            .node(&seat.name);
        // It sits there before it is ready: if it never is, its log tells why.
        seat.gateway.insert(options.start().await).ready().await;
        seat.awake.store(true, Ordering::Relaxed);
    }

    /// Ends a gateway with a signal, and waits until it has gone.
    pub async fn close(&mut self, index: usize, signal: Signal) {
        let seat = &mut self.seats[index];
        seat.awake.store(false, Ordering::Relaxed);
        let mut gateway = seat.gateway.take().expect("somebody sits there");
        gateway.signal(signal);
        gateway.exited(PATIENCE).await;
        self.logs.push((Arc::clone(&seat.name), gateway.log()));
    }

    /// Stops a gateway in its tracks.
    pub fn freeze(&self, index: usize) {
        let seat = &self.seats[index];
        seat.awake.store(false, Ordering::Relaxed);
        seat.gateway.as_ref().expect("somebody sits there").signal(Signal::STOP);
    }

    /// Lets a stopped one go on, and waits until it is ready.
    pub async fn thaw(&self, index: usize) {
        let seat = &self.seats[index];
        let gateway = seat.gateway.as_ref().expect("somebody sits there");
        gateway.signal(Signal::CONT);
        gateway.ready().await;
        seat.awake.store(true, Ordering::Relaxed);
    }

    /// The first gateway that does not say soon that it is ready.
    pub async fn unready(&self) -> Option<Arc<str>> {
        for seat in &self.seats {
            let answer = timeout(SOON, Request::get("/readyz").try_send(seat.addr)).await;
            if !answer.is_ok_and(|answer| answer.is_ok_and(|response| response.status == 200)) {
                return Some(Arc::clone(&seat.name));
            }
        }
        None
    }

    /// All that the gateways have logged, by node.
    pub fn gateway_logs(&self) -> Vec<(Arc<str>, String)> {
        let running = self.seats.iter().filter_map(|seat| {
            let log = seat.gateway.as_ref()?.log();
            Some((Arc::clone(&seat.name), log))
        });
        self.logs.iter().cloned().chain(running).collect()
    }

    /// Every room's log, from Redis itself; none for a room that has no head.
    pub fn room_logs(&self) -> Vec<Log> {
        // The time is taken before: what is acknowledged meanwhile need not be in it.
        logs::read(&self.store, self.clock.now())
    }

    /// Every text of a message that is anywhere in Redis: see [`texts`](super::amended::texts).
    pub fn texts(&self) -> HashSet<Arc<str>> {
        logs::texts(&self.store)
    }

    /// How far everybody has read in a room, as Redis holds it: of each user `<epoch> <seq>`.
    pub fn markers(&self, room: &str) -> BTreeMap<String, String> {
        let redis = &self.store.nodes()[self.store.primary_of(room)];
        let markers = redis.command(&["HGETALL", &format!("{{chat:{room}}}:read")]);
        redis::from_redis_value(markers).expect("markers are a hash")
    }

    /// Gives every gateway a way to every server that there is now.
    pub async fn connect(&mut self) {
        for seat in &mut self.seats {
            seat.network.follow(&self.store).await;
        }
    }
}
