//! A run: workers that are processes of their own, phases one after the other, and what came of each.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::plan::{Phase, Plan};
use crate::sample::{self, Sample};
use crate::talk::{Order, Report};
use crate::tally::{Counts, histogram, unpack};

/// Between the order to begin and the beginning, so that all workers have it.
const LEAD: u64 = 100_000_000;

/// A worker that says nothing for so long hangs: a million connections on two cores take some minutes.
const PATIENCE: Duration = Duration::from_mins(20);

/// A process whose cost is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Server {
    /// What it is called in a table.
    pub name: String,
    /// Its id.
    pub pid: u32,
}

/// How the parts of a run are spread over the machine.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Workers; each holds an equal share of the connections.
    pub workers: u32,
    /// The core that all workers stay on.
    pub core: Option<usize>,
}

/// What a part of a run is asked to be.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Messages a second.
    pub rate: f64,
    /// Seconds.
    pub seconds: f64,
    /// Seconds that are waited for what did not come.
    pub drain: f64,
    /// Whether all that do not send are cut at its start.
    pub storm: bool,
}

/// What a server's process did meanwhile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Its name.
    pub name: String,
    /// CPU time, in seconds.
    pub cpu_s: f64,
    /// Context switches.
    pub switches: u64,
    /// Resident at the end, in bytes.
    pub rss: u64,
    /// The same, shared pages divided.
    pub pss: u64,
}

/// A phase's outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages a second that were offered.
    pub rate: f64,
    /// How long they were sent, in seconds.
    pub seconds: f64,
    /// Connections that are in their rooms.
    pub live: u64,
    /// How long it took to open all of them, in seconds.
    pub opened_s: f64,
    /// Joins that a server put off meanwhile, and that were tried again when it said.
    #[serde(default)]
    pub put_off: u64,
    /// What was counted.
    pub counts: Counts,
    /// Deliveries a second, from the first send until the last delivery.
    pub per_second: f64,
    /// Percentiles of the time from when a message was due to each delivery, in microseconds.
    pub latency: Latency,
    /// The servers.
    pub servers: Vec<Cost>,
    /// CPU time of all servers per delivery, in microseconds.
    pub cpu_us: f64,
    /// Memory of all TCP sockets of the machine at the end, both ends of each connection, in bytes.
    pub socket_memory: u64,
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are their names")]
pub struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

/// A crowd that is connected.
pub struct Run {
    workers: Vec<Worker>,
    reports: Receiver<(usize, Result<Report, String>)>,
    servers: Vec<Server>,
    /// Of each worker, its prompt readers in each room.
    members: Vec<Vec<u64>>,
    live: u64,
    opened_s: f64,
    put_off: u64,
    phases: u32,
}

struct Worker {
    child: Child,
    orders: ChildStdin,
}

impl Run {
    /// Connects everybody.
    ///
    /// # Errors
    /// When the plan cannot be, when a worker could not be started, or when a connection was refused.
    pub fn open(program: &Path, plan: &Plan, layout: &Layout, servers: &[Server]) -> Result<Self, String> {
        plan.check()?;
        let (sender, reports) = channel();
        let mut run = Self {
            workers: Vec::new(),
            reports,
            servers: servers.to_owned(),
            members: Vec::new(),
            live: 0,
            opened_s: 0.0,
            put_off: 0,
            phases: 0,
        };
        for index in 0..layout.workers {
            let mut child = Command::new(program)
                .arg("worker")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|error| format!("{}: {error}", program.display()))?;
            let (Some(orders), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err("a worker has no standard streams".to_owned());
            };
            run.workers.push(Worker { child, orders });
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let report = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"));
                    if sender.send((index as usize, report)).is_err() {
                        return;
                    }
                }
                let _ = sender.send((index as usize, Err("a worker ended".to_owned())));
            });
        }
        // Elsewhere in every run, by the clock.
        let plan = Plan { first_port: (now() / 1_000_000) as u32 % 60_000, ..plan.clone() };
        let share = plan.connections.div_ceil(layout.workers);
        for index in 0..layout.workers {
            let first = (index * share).min(plan.connections);
            let end = (first + share).min(plan.connections);
            run.order(index as usize, &Order::Open { plan: plan.clone(), first, end, core: layout.core })?;
        }
        run.members = vec![Vec::new(); run.workers.len()];
        let mut problem = None;
        for _ in 0..run.workers.len() {
            match run.hear()? {
                (index, Report::Opened { members, live, seconds, put_off, refused }) => {
                    run.members[index] = members;
                    run.live += live;
                    run.put_off += put_off;
                    run.opened_s = run.opened_s.max(seconds);
                    problem = problem.or(refused);
                }
                (_, other) => return Err(format!("a worker said {other:?} before it was open")),
            }
        }
        match problem {
            Some(reason) => Err(format!("{} of {} connections: {reason}", run.live, plan.connections)),
            None => Ok(run),
        }
    }

    /// How many connections are in their rooms, and how long that took, in seconds.
    pub fn opened(&self) -> (u64, f64) {
        (self.live, self.opened_s)
    }

    /// Plays one phase.
    ///
    /// # Errors
    /// When a worker fails.
    pub fn play(&mut self, step: Step) -> Result<Outcome, String> {
        let Step { rate, seconds, drain, storm } = step;
        self.phases += 1;
        let before: Vec<Sample> = self.servers.iter().map(|it| sample::process(it.pid)).collect();
        let start = now() + LEAD;
        let phase = Phase { number: self.phases, start, rate, seconds, drain, storm };
        for index in 0..self.workers.len() {
            self.order(index, &Order::Play(phase))?;
        }

        let mut rooms: Vec<u64> = Vec::new();
        for _ in 0..self.workers.len() {
            let Report::Sent { rooms: of_one } = self.hear()?.1 else {
                return Err("a worker was not done with sending".to_owned());
            };
            rooms.resize(of_one.len(), 0);
            rooms.iter_mut().zip(of_one).for_each(|(sum, one)| *sum += one);
        }
        for index in 0..self.workers.len() {
            let deliveries =
                rooms.iter().zip(&self.members[index]).map(|(sent, members)| sent * members).sum();
            self.order(index, &Order::Expect { deliveries })?;
        }

        let (mut counts, mut all, mut end) = (Counts::default(), histogram(), start);
        for _ in 0..self.workers.len() {
            let Report::Done { counts: one, latencies, last } = self.hear()?.1 else {
                return Err("a worker had not done".to_owned());
            };
            counts.add(&one);
            all.add(unpack(&latencies)?).map_err(|error| error.to_string())?;
            end = end.max(last);
        }
        let costs: Vec<Cost> =
            self.servers.iter().zip(before).map(|(it, before)| cost(it, &before)).collect();
        let cpu_s: f64 = costs.iter().map(|it| it.cpu_s).sum();
        let elapsed = (end.saturating_sub(start) as f64 / 1e9).max(seconds);
        Ok(Outcome {
            rate,
            seconds,
            live: self.live,
            opened_s: self.opened_s,
            put_off: self.put_off,
            per_second: counts.delivered as f64 / elapsed,
            latency: Latency::of(&all),
            cpu_us: if counts.delivered == 0 { 0.0 } else { cpu_s * 1e6 / counts.delivered as f64 },
            servers: costs,
            socket_memory: sample::socket_memory(),
            counts,
        })
    }

    fn order(&mut self, index: usize, order: &Order) -> Result<(), String> {
        let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
        writeln!(self.workers[index].orders, "{line}").map_err(|error| format!("a worker ended: {error}"))
    }

    fn hear(&self) -> Result<(usize, Report), String> {
        match self.reports.recv_timeout(PATIENCE) {
            Ok((_, Ok(Report::Failed { reason }))) => Err(reason),
            Ok((index, report)) => Ok((index, report?)),
            Err(RecvTimeoutError::Timeout) => Err(format!("a worker said nothing for {PATIENCE:?}")),
            Err(RecvTimeoutError::Disconnected) => Err("all workers ended".to_owned()),
        }
    }
}

/// Cuts everybody.
impl Drop for Run {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

fn cost(server: &Server, before: &Sample) -> Cost {
    let after = sample::process(server.pid);
    Cost {
        name: server.name.clone(),
        cpu_s: after.cpu_s - before.cpu_s,
        switches: after.switches.saturating_sub(before.switches),
        rss: after.rss,
        pss: after.pss,
    }
}
