//! Slow readers harm nobody, and lose nothing before they are given up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Cluster, Dial, Fate, Gateway, PATIENCE, Proxy, RawSocket, Redis, token, until};

use crate::fixture::{FAST, cluster, options};

/// A client that stops reading after it has joined.
async fn stalled(gateway: &Gateway, name: &str) -> Client {
    let dial = Dial::to(gateway.addr()).named(name).bearer(&token(name)).receive_buffer(4096);
    let mut client = dial.welcomed().await;
    client.join("lobby").await;
    client
}

async fn flood(sender: &mut Client, messages: usize, bytes: usize) {
    let text = "x".repeat(bytes);
    for number in 0..messages {
        sender.say("lobby", json!({ "number": number, "text": text })).await;
    }
}

#[tokio::test]
async fn a_slow_reader_delays_nobody_and_catches_up_from_the_log() {
    let cluster = cluster(1).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    // Two megabytes and a half: far more than sockets and the room's tail (256 KiB) hold.
    let began = Instant::now();
    flood(&mut fast, 150, 16_000).await;
    fast.until_events("lobby", 150).await;
    assert!(began.elapsed() < Duration::from_secs(15), "the fast one took {:?}", began.elapsed());
    // Now it reads: all of it, in order, from the log.
    slow.until_events("lobby", 150).await;
    assert!(slow.ledger("lobby").resets.is_empty());
    fast.say("lobby", "and on").await;
    slow.until_events("lobby", 151).await;
}

#[tokio::test]
async fn an_event_larger_than_the_tail_reaches_everyone() {
    // It was trimmed before it was flushed, and the flusher looked for it for ever, a thread of the node with it.
    let config = format!("{FAST}[tail]\nbytes = 1024\n");
    let cluster = Cluster::start_with(Redis::start().await, 1, options().config(&config)).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    let mut bob = Client::connect(cluster.addr(0), "bob").await;
    for client in [&mut alice, &mut bob] {
        client.join("lobby").await;
    }
    flood(&mut alice, 5, 16_000).await;
    for client in [&mut alice, &mut bob] {
        client.until_events("lobby", 5).await;
    }
    cluster.nodes[0].ready().await;
}

#[tokio::test]
async fn many_slow_readers_do_not_grow_the_memory() {
    let cluster = cluster(1).await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 50, 16_000).await;
    let before = cluster.nodes[0].rss();
    let mut slow = Vec::new();
    for number in 0..40 {
        slow.push(stalled(&cluster.nodes[0], &format!("slow-{number}")).await);
    }
    flood(&mut fast, 200, 16_000).await;
    let grown = cluster.nodes[0].rss().saturating_sub(before);
    // A queue for each would hold 40 × 3 MB.
    assert!(grown < 30_000_000, "40 slow readers cost {grown} bytes");
    for client in &mut slow[..2] {
        client.until_events("lobby", 200).await;
    }
}

#[tokio::test]
async fn whoever_reads_nothing_past_the_deadline_is_closed_and_can_resume() {
    let config = format!("{FAST}slow_consumer_ms = 1000\n");
    let cluster = Cluster::start_with(Redis::start().await, 2, options().config(&config)).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 150, 16_000).await;
    until(PATIENCE, "the slow one to be given up", async || {
        let closed = cluster.nodes[0].metrics().await.with("chorus_closes_total", "code", "1013");
        if closed > 0.5 { Ok(()) } else { Err(closed.to_string()) }
    })
    .await;
    // It stays away for longer than any answer to a close frame is waited for.
    fast.drain(Duration::from_secs(3)).await;
    // The close frame stands behind what the sockets hold. They are full, so it could not even be written; it was
    // dropped with the socket after two seconds, and the client saw 1006.
    let close = slow.closed().await;
    assert_eq!((close.code, close.reason.as_str()), (1013, "slow_consumer"));

    let mut slow = {
        let rooms = slow.cut();
        let mut again = Client::connect(cluster.addr(1), "slow").await;
        again.resume(rooms).await;
        again
    };
    slow.until_events("lobby", 150).await;
    assert_eq!(slow.ledger("lobby").unrecovered, 0);
}

#[tokio::test]
async fn whoever_falls_behind_the_log_is_told_or_closed() {
    let config = format!("{FAST}\n[history]\nlength = 100\n");
    let cluster = Cluster::start_with(Redis::start().await, 1, options().config(&config)).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 400, 10_000).await;
    // Either it is told that a part is gone, and goes on, or it is closed: what it never sees is an untold hole,
    // of which its ledger would complain.
    let outcome = slow
        .read_until(PATIENCE, "the last event or the end", |client| {
            let told = !client.ledger("lobby").resets.is_empty();
            match (client.ledger("lobby").seq, client.has_ended()) {
                (400, _) => Ok(told),
                (_, true) => Ok(true),
                (seq, false) => Err(format!("seq {seq}")),
            }
        })
        .await;
    assert!(outcome, "it saw 400 events although the log holds 200 at most");
    if slow.has_ended() {
        let close = slow.closed().await;
        assert_eq!((close.code, close.reason.as_str()), (1013, "slow_consumer"));
    }
}

/// Members that read at once, of each gateway.
const SWIFT: usize = 48;
/// Messages that are said on each gateway before the slow ones change over.
const MESSAGES: usize = 150;
/// What is in a room before: more than all sockets on the way of a slow reader hold.
const BACKLOG: usize = 150;

/// A room on a gateway of its own, with members that read at once.
struct Crowd {
    room: String,
    members: Vec<RawSocket>,
}

impl Crowd {
    async fn gather(gateway: &Gateway, room: &str) -> Self {
        let mut members = Vec::new();
        for number in 0..SWIFT {
            let path = format!("/ws?token={}&room={room}", token(&format!("swift-{number}")));
            let mut member = RawSocket::open(gateway.addr(), &path).await;
            for expected in ["welcome", "ok"] {
                let frame = member.read_opcode(1).await;
                assert!(String::from_utf8_lossy(&frame.payload).contains(expected), "{frame:?}");
            }
            members.push(member);
        }
        Self { room: room.to_owned(), members }
    }

    /// Has one member say something, and tells how long it took to each.
    async fn say(&mut self) -> Vec<Duration> {
        let text = format!(r#"{{"type":"message","room":"{}","data":"a word"}}"#, self.room);
        let sent = Instant::now();
        self.members[0].text(&text).await;
        let listening = self.members.drain(..).map(|mut member| {
            tokio::spawn(async move {
                member.read_opcode(1).await;
                (member, sent.elapsed())
            })
        });
        let mut times = Vec::new();
        for heard in listening.collect::<Vec<_>>() {
            let (member, took) = heard.await.expect("the message");
            self.members.push(member);
            times.push(took);
        }
        times
    }
}

/// Joins a room from the beginning of its log, and is then left to itself.
async fn join_slowly(to: SocketAddr, name: &str, room: &str, epoch: &Value) -> Client {
    let mut client = Dial::to(to).named(name).bearer(&token(name)).receive_buffer(4096).welcomed().await;
    let since = json!({ "epoch": epoch, "seq": 0 });
    client.ok(json!({ "type": "join", "room": room, "since": since })).await;
    client
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

#[tokio::test]
async fn one_that_crawls_and_one_that_never_reads_cost_forty_eight_others_no_time() {
    // Two gateways that differ by nothing but the slow ones, and take turns: what else the machine does falls on
    // both, message by message.
    let cluster = cluster(2).await;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for burdened in 0..2 {
        let gateway = &cluster.nodes[burdened];
        let room = format!("burdened-{burdened}");
        let mut talker = Client::connect(gateway.addr(), "talker").await;
        let epoch = talker.join(&room).await["epoch"].clone();
        for _ in 0..BACKLOG {
            talker.say(&room, "x".repeat(16_000)).await;
        }
        let memory = gateway.rss();
        let proxy = Proxy::start(gateway.addr()).await;
        proxy.treat(Fate::Pass, Fate::Throttle(1024));
        // They come first, and so it is their turn first whenever something is said.
        let mut slow = [
            join_slowly(proxy.addr(), "crawling", &room, &epoch).await,
            join_slowly(gateway.addr(), "deaf", &room, &epoch).await,
        ];
        let mut crowds = Vec::new();
        for (number, node) in cluster.nodes.iter().enumerate() {
            let room = if number == burdened { &room } else { "easy" };
            crowds.push(Crowd::gather(node, room).await);
        }
        until_slow(gateway, 2.0).await;
        let before = [0, 1].map(|node| cluster.nodes[node].cpu());
        for number in 0..MESSAGES {
            for turn in [number % 2, 1 - number % 2] {
                let times = crowds[turn].say().await;
                if turn == burdened { with.extend(times) } else { without.extend(times) }
            }
        }
        let worked = [0, 1].map(|node: usize| cluster.nodes[node].cpu().saturating_sub(before[node]));
        let (busy, other) = (worked[burdened], worked[1 - burdened]);
        assert!(
            busy < other * 2 + Duration::from_millis(500),
            "CPU: {busy:?} with the slow ones, {other:?} without"
        );
        let grown = gateway.rss().saturating_sub(memory);
        assert!(grown < 30_000_000, "two slow readers cost {grown} bytes");
        // When they read on, they have missed nothing.
        proxy.treat(Fate::Pass, Fate::Pass);
        for member in &mut slow {
            member.until_events(&room, BACKLOG + MESSAGES).await;
            assert!(member.ledger(&room).resets.is_empty());
        }
    }
    let (with, without) = (median(&mut with), median(&mut without));
    println!("median latency: {:.2} ms with slow readers, {:.2} ms without", with * 1e3, without * 1e3);
    assert!(with / without <= 1.2, "others wait longer: {with:.5} s instead of {without:.5} s");
}

/// Waits until so many sockets take no more.
async fn until_slow(gateway: &Gateway, count: f64) {
    until(PATIENCE, &format!("{count} slow readers"), async || {
        let seen = gateway.metrics().await.sum("chorus_slow_readers");
        if (seen - count).abs() < 0.5 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn whoever_reads_a_little_all_the_time_is_not_taken_for_dead() {
    // It reads more slowly than a third of its socket's buffer in the time that it may take nothing at all, so that the
    // system does not call the socket writable; and its answers to pings stand behind all that the socket holds.
    let config = format!("{FAST}slow_consumer_ms = 2000\n[heartbeat]\ninterval_ms = 1000\n");
    let cluster = Cluster::start_with(Redis::start().await, 1, options().config(&config)).await;
    let mut crawling = stalled(&cluster.nodes[0], "crawling").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 150, 4_000).await;
    until_slow(&cluster.nodes[0], 1.0).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        // The room's gateway would say so in a frame behind all others, so its count is looked at.
        assert!(
            (cluster.nodes[0].metrics().await.sum("chorus_closes_total")).abs() < 0.5,
            "{:?}",
            began.elapsed()
        );
        crawling.next().await;
        fast.drain(Duration::from_millis(400)).await;
    }
    crawling.until_events("lobby", 150).await;
}

#[tokio::test]
async fn whoever_never_reads_its_replies_is_not_read_either() {
    let cluster = cluster(1).await;
    let mut greedy = stalled(&cluster.nodes[0], "greedy").await;
    let mut talker = Client::connect(cluster.addr(0), "talker").await;
    talker.join("lobby").await;
    flood(&mut talker, 200, 1000).await;
    let before = cluster.nodes[0].rss();
    // It asks for the history 2,000 times, 200 KB each, and reads nothing.
    let asking = async {
        for number in 0..2000 {
            greedy.send(&json!({ "type": "history", "room": "lobby", "limit": 200, "ref": number })).await;
        }
    };
    // The gateway stops reading, so this need not end.
    let _ = tokio::time::timeout(Duration::from_secs(3), asking).await;
    let grown = cluster.nodes[0].rss().saturating_sub(before);
    assert!(grown < 60_000_000, "unread replies cost {grown} bytes");
    assert_eq!(talker.request(json!({ "type": "ping" })).await["type"], "pong");
}
