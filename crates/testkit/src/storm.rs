//! Everybody comes back at once, as after a restart, to a node that holds nothing of the rooms in memory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{Client, Cluster, GatewayOptions, PATIENCE, RawSocket, Redis, token, within};

/// Events of each room that everybody has seen, and those that everybody has missed.
const SEEN: usize = 5;
const MISSED: usize = 35;

/// Clients from one source address; a gateway allows 1,000 by default.
const PER_ADDRESS: usize = 500;

/// Connections that are being opened at the same time.
const AT_ONCE: usize = 50;

/// How long a client waits after `unavailable`.
const PAUSE: Duration = Duration::from_millis(500);

/// What a storm came to.
#[derive(Debug)]
pub struct Storm {
    /// From the first request to the last `ok`.
    pub answered: Duration,
    /// From the first request to the last missed event.
    pub recovered: Duration,
    /// Requests that were answered `unavailable`, for the node heard nothing from Redis in time, and sent again.
    pub repeated: usize,
    /// How often Redis read a room's log for it.
    pub reads: u64,
    /// The most frames by which one client was told who is there, until it had heard of everybody.
    pub presence_frames: usize,
    /// Until all had heard of everybody.
    pub settled: Duration,
    /// How often each command ran on Redis meanwhile, by Redis' own count.
    pub calls: BTreeMap<String, u64>,
}

/// Has `clients` resume in `rooms` rooms at the same moment, each in one, and awaits what each has missed.
///
/// # Panics
/// When one of them is not recovered, or gets another event than the next.
pub async fn storm(options: GatewayOptions, clients: usize, rooms: usize) -> Storm {
    let mut cluster = Cluster::start_with(Redis::start().await, 1, options).await;
    let mut talker = Client::connect(cluster.addr(0), "talker").await;
    let mut epochs = Vec::new();
    for room in 0..rooms {
        let room = format!("room-{room}");
        epochs.push(talker.join(&room).await["epoch"].clone());
        for number in 0..SEEN + MISSED {
            talker.say(&room, number).await;
        }
    }
    cluster.add().await;
    let gateway = cluster.addr(1);
    let mut waiting = Vec::with_capacity(clients);
    while waiting.len() < clients {
        let numbers = waiting.len()..clients.min(waiting.len() + AT_ONCE);
        let opening: Vec<_> = numbers.map(|number| tokio::spawn(open(gateway, number))).collect();
        for socket in opening {
            waiting.push(socket.await.expect("a connection"));
        }
    }

    let before = calls(&cluster.redis);
    let start = std::sync::Arc::new(Barrier::new(clients + 1));
    let resuming = waiting.into_iter().enumerate().map(|(number, socket)| {
        let room = number % rooms;
        // The talker is in each of them.
        let members = clients / rooms + usize::from(room < clients % rooms) + 1;
        let (epoch, start) = (epochs[room].clone(), start.clone());
        tokio::spawn(async move {
            start.wait().await;
            resume(socket, &format!("room-{room}"), &epoch, members).await
        })
    });
    let resuming: Vec<_> = resuming.collect();
    start.wait().await;
    let began = Instant::now();
    let (mut answered, mut recovered, mut settled) = (began, began, began);
    let (mut repeated, mut presence_frames) = (0, 0);
    for client in resuming {
        let back = client.await.expect("a client that resumed");
        (answered, recovered) = (answered.max(back.answered), recovered.max(back.recovered));
        settled = settled.max(back.settled);
        repeated += back.repeated;
        presence_frames = presence_frames.max(back.presence_frames);
    }
    let calls: BTreeMap<_, _> = calls(&cluster.redis)
        .into_iter()
        .map(|(name, count)| (name.clone(), count - before.get(&name).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .collect();
    Storm {
        answered: answered - began,
        recovered: recovered - began,
        settled: settled - began,
        presence_frames,
        repeated,
        // The script that reads looks for the oldest event with one XRANGE, and for those asked for with another.
        reads: calls.get("xrange").unwrap_or(&0) / 2,
        calls,
    }
}

async fn open(gateway: SocketAddr, number: usize) -> RawSocket {
    let address = u8::try_from(number / PER_ADDRESS).expect("few addresses");
    let source = IpAddr::V4(Ipv4Addr::new(127, 0, 1, address));
    let path = format!("/ws?token={}", token(&format!("user-{number}")));
    let mut socket = RawSocket::open_from(source, gateway, &path).await;
    socket.read_opcode(1).await;
    socket
}

/// One client that is back.
struct Back {
    answered: Instant,
    recovered: Instant,
    settled: Instant,
    repeated: usize,
    presence_frames: usize,
}

/// A client, and what it was told beside what it waits for.
struct Returning {
    socket: RawSocket,
    presence_frames: usize,
    there: usize,
}

impl Returning {
    /// The next frame that does not tell who is there.
    async fn next(&mut self) -> Value {
        loop {
            let frame = self.any().await;
            if frame["type"] != "presence" {
                return frame;
            }
        }
    }

    async fn any(&mut self) -> Value {
        let frame = self.socket.read_opcode(1).await;
        let frame: Value = serde_json::from_slice(&frame.payload).expect("a frame is JSON");
        if frame["type"] == "presence" {
            self.presence_frames += 1;
            self.there = frame["count"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or_default();
        }
        frame
    }
}

/// Joins where it stood, and reads until it has what it missed and has heard of everybody.
async fn resume(socket: RawSocket, room: &str, epoch: &Value, members: usize) -> Back {
    let since = json!({ "epoch": epoch, "seq": SEEN });
    let join = json!({ "type": "join", "room": room, "since": since, "ref": 1 }).to_string();
    let mut client = Returning { socket, presence_frames: 0, there: 0 };
    let mut repeated = 0;
    let reading = async {
        loop {
            client.socket.text(&join).await;
            let reply = client.next().await;
            if reply["code"] != "unavailable" {
                assert_eq!((&reply["type"], &reply["recovered"]), (&json!("ok"), &json!(true)), "{reply}");
                break;
            }
            repeated += 1;
            tokio::time::sleep(PAUSE).await;
        }
        let answered = Instant::now();
        for seq in SEEN + 1..=SEEN + MISSED {
            let event = client.next().await;
            assert_eq!((&event["type"], &event["seq"]), (&json!("message"), &json!(seq)), "{event}");
        }
        let recovered = Instant::now();
        while client.there < members {
            client.any().await;
        }
        (answered, recovered, Instant::now())
    };
    let (answered, recovered, settled) = within(PATIENCE * 3, "what was missed", reading).await;
    Back { answered, recovered, settled, repeated, presence_frames: client.presence_frames }
}

/// How often each command has run, by Redis' own count; those that scripts ran are counted, too.
fn calls(redis: &Redis) -> BTreeMap<String, u64> {
    let text = redis.text(&["INFO", "commandstats"]);
    let count = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    text.lines().filter_map(count).collect()
}
