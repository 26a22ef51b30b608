//! Ten thousand clients that come back at once: no more than a socket, a room and a position each.

mod sheep;

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use super::checker::{Kind, Violation};
use super::crowd::Clock;
use crate::{Client, Dial};

/// Clients: half of what a process may have open sockets, for the old ones may not be gone when the new ones come.
pub const SIZE: usize = 10_000;
/// Rooms that they are spread over.
const ROOMS: usize = 8;
/// Dials under way while they come for the first time, which is not the fault.
const GATHERING: usize = 200;
/// For them all to come for the first time.
const GATHERED: Duration = Duration::from_mins(1);
/// For them all to be back, and level.
const BACK: Duration = Duration::from_secs(30);
/// Between two looks at where they are.
const LOOK: Duration = Duration::from_millis(50);
/// Messages to each room while they are there, while they are away, and when they are back.
const SAID: [usize; 3] = [2, 5, 1];
/// Complaints that are kept; the rest would only say the same.
const KEPT: usize = 20;

/// What they are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Come,
    Go,
    End,
}

/// Where one of them is.
#[derive(Debug, Default)]
struct Mark {
    joined: AtomicBool,
    seq: AtomicU64,
}

/// What they share.
struct Field {
    doors: Vec<SocketAddr>,
    rooms: Vec<String>,
    token: String,
    marks: Vec<Mark>,
    /// Dials that did not lead into the room.
    failed: AtomicU64,
    /// Connections that a node ended.
    closed: AtomicU64,
    gate: Semaphore,
    clock: Clock,
    found: Mutex<Vec<Violation>>,
}

impl Field {
    fn complain(&self, kind: Kind, number: usize, what: String) {
        let mut found = self.found.lock().expect("nobody panics with the complaints");
        if found.len() < KEPT {
            found.push(Violation { kind, at: self.clock.now(), who: format!("sheep-{number}").into(), what });
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Return {
    /// What was wrong.
    pub found: Vec<Violation>,
    /// From the order to come back until all were level.
    pub took: Duration,
    /// Dials that did not lead into the room, on the way back.
    pub failed: u64,
}

/// Has them come, hear something, be cut all at once, miss something, and come back all at once.
///
/// They run in a thread of their own: in one runtime with the proxies they would be a bad network to the gateways.
pub async fn reconnect(doors: &[SocketAddr], clock: Clock) -> Return {
    let doors = doors.to_owned();
    let herd = move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(come_and_go(&doors, clock))
    };
    match spawn_blocking(herd).await {
        Ok(came) => came,
        // As if it had panicked here.
        Err(error) => resume_unwind(error.into_panic()),
    }
}

async fn come_and_go(doors: &[SocketAddr], clock: Clock) -> Return {
    // A name of its own: an earlier herd's log is not this one's.
    let rooms = (0..ROOMS).map(|room| format!("herd-{}-{room}", clock.now())).collect();
    let field = Arc::new(Field {
        doors: doors.to_owned(),
        rooms,
        token: crate::token("herd"),
        marks: (0..SIZE).map(|_| Mark::default()).collect(),
        failed: AtomicU64::new(0),
        closed: AtomicU64::new(0),
        gate: Semaphore::new(GATHERING),
        clock,
        found: Mutex::default(),
    });
    let orders = watch::Sender::new(Order::Come);
    let mut herd = JoinSet::new();
    for number in 0..SIZE {
        herd.spawn(sheep::live(Arc::clone(&field), number, orders.subscribe()));
    }
    let mut took = Duration::ZERO;
    if level(&field, &[0; ROOMS], GATHERED).await {
        let heads = say(&field, SAID[0]).await;
        if level(&field, &heads, BACK).await {
            orders.send_replace(Order::Go);
            say(&field, SAID[1]).await;
            eprintln!("{:>8} ms  {SIZE} clients were cut", clock.now());
            // From here on nobody waits for anybody.
            field.gate.add_permits(SIZE);
            field.failed.store(0, Ordering::Relaxed);
            let began = Instant::now();
            orders.send_replace(Order::Come);
            let heads = say(&field, SAID[2]).await;
            level(&field, &heads, BACK).await;
            took = began.elapsed();
        }
    }
    orders.send_replace(Order::End);
    while herd.join_next().await.is_some() {}
    let found = std::mem::take(&mut *field.found.lock().expect("nobody panics with the complaints"));
    Return { found, took, failed: field.failed.load(Ordering::Relaxed) }
}

/// Says so much in each room, and where the rooms stand then.
async fn say(field: &Field, count: usize) -> [u64; ROOMS] {
    let mut speaker = admitted(field).await;
    let mut heads = [0; ROOMS];
    for (room, head) in field.rooms.iter().zip(&mut heads) {
        persist(&mut speaker, json!({ "type": "join", "room": room })).await;
        for number in 0..count {
            let id = format!("{number} at {}", field.clock.now());
            let ok =
                persist(&mut speaker, json!({ "type": "message", "room": room, "id": id, "data": {} })).await;
            *head = ok["seq"].as_u64().expect("an ok has a seq");
        }
    }
    heads
}

/// A client that was let in: in the middle of a herd that may take more than one attempt.
async fn admitted(field: &Field) -> Client {
    let token = crate::token("shepherd");
    loop {
        if let Ok(mut client) = Dial::to(field.doors[0]).bearer(&token).named("shepherd").open().await
            && client.next().await["type"] == "welcome"
        {
            return client;
        }
        sleep(LOOK).await;
    }
}

/// Asks until it is answered ok: while a node is too busy, the answer may be that it is `unavailable`.
async fn persist(client: &mut Client, request: Value) -> Value {
    let end = Instant::now() + BACK;
    loop {
        let answer = client.request(request.clone()).await;
        if answer["type"] == "ok" {
            return answer;
        }
        assert!(Instant::now() < end, "the shepherd was answered {answer} for {BACK:?}");
        sleep(LOOK).await;
    }
}

/// Waits until everyone is in its room and where the room stands; a violation says how far they came.
async fn level(field: &Field, heads: &[u64; ROOMS], deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    loop {
        let there = |(number, mark): &(usize, &Mark)| {
            mark.joined.load(Ordering::Relaxed) && mark.seq.load(Ordering::Relaxed) >= heads[number % ROOMS]
        };
        let count = field.marks.iter().enumerate().filter(there).count();
        if count == SIZE {
            return true;
        }
        if Instant::now() > end {
            let first =
                field.marks.iter().enumerate().find(|mark| !there(mark)).map_or(0, |(number, _)| number);
            let closed = field.closed.load(Ordering::Relaxed);
            let what = format!(
                "{count} of {SIZE} had come within {deadline:?}, this one had not; nodes ended {closed} connections"
            );
            field.complain(Kind::NotRecovered, first, what);
            return false;
        }
        sleep(LOOK).await;
    }
}
