//! Clients that talk, reconnect, resume and retry exactly as the protocol allows, and write everything down.

mod member;
mod rooms;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::history::{History, Log};
use member::Member;

/// Rooms that the crowd is in.
pub const ROOMS: usize = 4;
/// How many of them each member is in.
const ROOMS_EACH: usize = 2;

/// The name of a room.
pub fn room(number: usize) -> Arc<str> {
    format!("room-{number}").into()
}

/// The name of a member.
fn user(number: usize) -> Arc<str> {
    format!("user-{number}").into()
}

/// The run's clock: milliseconds since it began.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// It begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds.
    pub fn now(self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

/// Where the gateways listen, as of now.
pub type Doors = Arc<RwLock<Vec<SocketAddr>>>;

/// How fast members read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    #[default]
    Prompt,
    /// A frame every so often.
    Slow(Duration),
    /// Not at all.
    Silent,
}

/// Some of the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// None.
    #[default]
    Nobody,
    /// All.
    Everybody,
    /// Every fourth, beginning with this one.
    Quarter(usize),
}

impl Whom {
    fn includes(self, number: usize) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Quarter(first) => number % 4 == first % 4,
        }
    }
}

/// What the members are told to do.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    talk: bool,
    stop: bool,
    /// How often somebody was cut, and who the last time.
    cuts: u64,
    cut: Whom,
    pace: Pace,
    paced: Whom,
    /// Bytes that each message carries besides.
    padding: usize,
}

/// What can be seen of a member while it runs.
#[derive(Debug, Default)]
struct Live {
    /// Messages that are not acknowledged yet.
    pending: AtomicUsize,
    /// The port of the gateway that it is connected to; 0 while it is to none.
    port: AtomicU16,
    rooms: [LiveRoom; ROOMS_EACH],
}

#[derive(Debug, Default)]
struct LiveRoom {
    number: AtomicUsize,
    joined: AtomicBool,
    /// Its position's number.
    seq: AtomicU64,
    /// When the newest event that came was sent.
    fresh: AtomicU64,
    /// Who is there, as far as it was told.
    present: Mutex<BTreeSet<Arc<str>>>,
}

impl LiveRoom {
    fn present(&self) -> BTreeSet<Arc<str>> {
        self.present.lock().expect("nobody panics with a list").clone()
    }
}

/// The members, each a task.
#[derive(Debug)]
pub struct Crowd {
    orders: watch::Sender<Orders>,
    members: Vec<(Arc<Live>, JoinHandle<History>)>,
}

impl Crowd {
    /// Starts `size` members that come in through the doors.
    pub fn start(size: usize, doors: &Doors, clock: Clock, seed: u64) -> Self {
        let orders = watch::Sender::new(Orders { talk: true, ..Orders::default() });
        let member = |number| {
            let live = Arc::new(Live::default());
            let member =
                Member::new(number, Arc::clone(doors), orders.subscribe(), Arc::clone(&live), clock, seed);
            (live, tokio::spawn(member.run()))
        };
        let members = (0..size).map(member).collect();
        Self { orders, members }
    }

    /// Cuts the connections of some without a word.
    pub fn cut(&self, whom: Whom) {
        self.orders.send_modify(|orders| {
            orders.cuts += 1;
            orders.cut = whom;
        });
    }

    /// Has some read at another pace.
    pub fn pace(&self, whom: Whom, pace: Pace) {
        self.orders.send_modify(|orders| (orders.paced, orders.pace) = (whom, pace));
    }

    /// Has each message carry so many bytes more.
    pub fn pad(&self, bytes: usize) {
        self.orders.send_modify(|orders| orders.padding = bytes);
    }

    /// Has them say nothing new, or talk again.
    pub fn talk(&self, talk: bool) {
        self.orders.send_modify(|orders| orders.talk = talk);
    }

    /// The first member that did not get, in each of its rooms, what was sent after that time; and where.
    pub fn stale(&self, since: u64) -> Option<String> {
        self.members.iter().enumerate().find_map(|(number, (live, _))| {
            let stale = live.rooms.iter().find(|room| room.fresh.load(Ordering::Relaxed) <= since)?;
            Some(format!("user-{number} in room-{}", stale.number.load(Ordering::Relaxed)))
        })
    }

    /// The first member with a message that is not acknowledged.
    pub fn unsettled(&self) -> Option<String> {
        let unsettled = |(live, _): &(Arc<Live>, _)| live.pending.load(Ordering::Relaxed) > 0;
        self.members.iter().position(unsettled).map(|number| format!("user-{number} waits for an ok"))
    }

    /// The first member that is not where the logs end.
    pub fn behind(&self, logs: &[Log]) -> Option<String> {
        self.members.iter().enumerate().find_map(|(number, (live, _))| {
            live.rooms.iter().find_map(|at| {
                let name = room(at.number.load(Ordering::Relaxed));
                let head = logs.iter().find(|log| log.room == name)?.head.seq;
                let (seq, joined) = (at.seq.load(Ordering::Relaxed), at.joined.load(Ordering::Relaxed));
                (seq < head || !joined)
                    .then(|| format!("user-{number} is at {seq} of {head} in {name}, joined: {joined}"))
            })
        })
    }

    /// Whether anybody is connected to the gateway on that port.
    pub fn is_at(&self, port: u16) -> bool {
        self.members.iter().any(|(live, _)| live.port.load(Ordering::Relaxed) == port)
    }

    /// Who of them is in a room.
    pub fn in_room(&self, number: usize) -> BTreeSet<Arc<str>> {
        let there = |live: &Live| {
            let mut rooms = live.rooms.iter();
            rooms.any(|it| it.number.load(Ordering::Relaxed) == number && it.joined.load(Ordering::Relaxed))
        };
        let members = self.members.iter().enumerate().filter(|(_, (live, _))| there(live));
        members.map(|(number, _)| user(number)).collect()
    }

    /// The first member that takes somebody for there who is not, or does not know of somebody who is; `others` are
    /// there besides, in every room.
    pub fn misinformed(&self, others: &BTreeSet<Arc<str>>) -> Option<String> {
        let truth: Vec<BTreeSet<_>> = (0..ROOMS).map(|number| &self.in_room(number) | others).collect();
        self.members.iter().enumerate().find_map(|(number, (live, _))| {
            live.rooms.iter().find_map(|at| {
                let room = at.number.load(Ordering::Relaxed);
                let (told, truth) = (at.present(), &truth[room]);
                let (ghosts, missing) = (&told - truth, truth - &told);
                (told != *truth).then(|| {
                    format!(
                        "user-{number} in room-{room} sees {ghosts:?} who are not, not {missing:?} who are"
                    )
                })
            })
        })
    }

    /// Ends them all and takes what they wrote down.
    pub async fn end(self) -> Vec<History> {
        self.orders.send_modify(|orders| orders.stop = true);
        let mut histories = Vec::new();
        for (_, task) in self.members {
            histories.push(task.await.expect("a member does not panic"));
        }
        histories
    }
}
