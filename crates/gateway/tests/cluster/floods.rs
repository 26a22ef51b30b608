//! Floods: what one client, or one address, can ask for has an end, others are served meanwhile, and the memory comes
//! back when it is over.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Dial, Gateway, PATIENCE, RawSocket, token, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::{FAST, options};

/// What a node may have grown by after a flood, in bytes: the allocator's own reserve, and rounding.
const REMAINS: u64 = 16_000_000;

/// Waits until a node's memory is back at what it was before, or almost.
async fn until_memory_is_back(gateway: &Gateway, before: u64) {
    until(PATIENCE, "the memory to come back", async || {
        let grown = gateway.rss().saturating_sub(before);
        if grown < REMAINS { Ok(()) } else { Err(format!("{grown} bytes more than before")) }
    })
    .await;
}

/// Waits until the node's gauge of rooms, or of connections, is at zero.
async fn until_none(gateway: &Gateway, gauge: &str) {
    until(PATIENCE, &format!("no {gauge}"), async || {
        let left = gateway.metrics().await.sum(gauge);
        if left.abs() < 0.5 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

/// A client that has nothing to do with the flood.
async fn bystander(gateway: &Gateway) -> Client {
    let dial = Dial::to(gateway.addr()).from([127, 0, 0, 44]).named("bystander").bearer(&token("bystander"));
    dial.welcomed().await
}

/// Opens sockets from one address and says `words` on each.
async fn open_many(to: SocketAddr, count: usize, words: &[u8]) -> Vec<TcpStream> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 66], 0).into()).unwrap();
        let mut socket = within(PATIENCE, "a connection", socket.connect(to)).await.expect("it is accepted");
        // It may be cut already, which is what this is about.
        let _ = socket.write_all(words).await;
        sockets.push(socket);
    }
    sockets
}

/// How many of these sockets the server has ended already.
fn ended(sockets: &[TcpStream]) -> usize {
    let is_open = |socket: &TcpStream| matches!(socket.try_read(&mut [0; 64]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    sockets.iter().filter(|socket| !is_open(socket)).count()
}

#[tokio::test]
async fn sockets_that_say_nothing_or_half_a_line_are_limited_by_address_and_end() {
    let config = "[limits]\nconnections_per_address = 500\nheader_read_timeout_ms = 3000\n";
    let gateway = options().config(config).start().await;
    bystander(&gateway).await.close(1000, "").await;
    let before = gateway.rss();
    for words in [&b""[..], b"GET /ws?token="] {
        let mut sockets = open_many(gateway.addr(), 1500, words).await;
        until(PATIENCE, "what is above the limit to end at once", async || {
            let ended = ended(&sockets);
            if ended >= 1000 { Ok(()) } else { Err(format!("{ended} of {} ended", sockets.len())) }
        })
        .await;
        // Others are served while the rest wait for their deadline.
        let mut bystander = bystander(&gateway).await;
        bystander.join("lobby").await;
        bystander.say("lobby", "still here").await;
        for socket in &mut sockets {
            // Ended or reset: both are an end. What came before it may be an answer of 408.
            let _ = within(PATIENCE, "the deadline of a header", socket.read_to_end(&mut Vec::new())).await;
        }
        assert!(gateway.metrics().await.with("chorus_refusals_total", "reason", "address") >= 1000.0);
    }
    until_none(&gateway, "chorus_connections").await;
    until_memory_is_back(&gateway, before).await;
}

/// Sends requests in groups, reads the replies of each group, and counts them by `type` or, for errors, by `code`.
async fn ask(socket: &mut RawSocket, requests: impl Iterator<Item = Value>, counts: &mut [(String, usize)]) {
    let requests: Vec<String> = requests.map(|request| request.to_string()).collect();
    for group in requests.chunks(500) {
        for request in group {
            socket.text(request).await;
        }
        for _ in group {
            let text = loop {
                let frame = socket.read_opcode(1).await;
                let text = String::from_utf8(frame.payload).expect("a text is UTF-8");
                // Whoever is in a room is told so, besides the reply.
                if !text.contains("\"presence\"") {
                    break text;
                }
            };
            let known = counts.iter_mut().find(|(what, _)| text.contains(&format!("\"{what}\"")));
            known.unwrap_or_else(|| panic!("unexpected: {text}")).1 += 1;
        }
    }
}

fn counts<const N: usize>(names: [&str; N]) -> [(String, usize); N] {
    names.map(|name| (name.to_owned(), 0))
}

async fn flooder(gateway: &Gateway) -> RawSocket {
    let mut socket = RawSocket::open(gateway.addr(), &format!("/ws?token={}", token("flooder"))).await;
    socket.read_opcode(1).await;
    socket
}

#[tokio::test]
async fn a_hundred_thousand_joins_by_one_client_meet_the_limit_of_rooms() {
    let gateway = options().config(FAST).start().await;
    let mut bystander = bystander(&gateway).await;
    bystander.join("lobby").await;
    let before = gateway.rss();
    let mut flooder = flooder(&gateway).await;
    let mut seen = counts(["too_large", "ok"]);
    let began = Instant::now();
    for tenth in 0..10 {
        let join = |number: usize| json!({ "type": "join", "room": format!("room-{number}"), "ref": number });
        ask(&mut flooder, (tenth * 10_000..(tenth + 1) * 10_000).map(join), &mut seen).await;
        bystander.say("lobby", "still here").await;
    }
    println!(
        "100,000 joins: {:?}, {seen:?}, {} bytes more",
        began.elapsed(),
        gateway.rss().saturating_sub(before)
    );
    assert_eq!(seen, [("too_large".to_owned(), 99_900), ("ok".to_owned(), 100)]);
    assert!((gateway.metrics().await.sum("chorus_rooms") - 101.0).abs() < 0.5, "refused joins make no rooms");
    drop(flooder);
    until(PATIENCE, "the rooms to be forgotten", async || {
        let left = gateway.metrics().await.sum("chorus_rooms");
        if left < 1.5 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    until_memory_is_back(&gateway, before).await;
}

#[tokio::test]
async fn a_hundred_thousand_joins_at_the_ordinary_rate_end_the_connection() {
    let gateway = options().start().await;
    let mut flooder = flooder(&gateway).await;
    for number in 0..100_000 {
        let join = json!({ "type": "join", "room": format!("room-{}", number % 50), "ref": number });
        flooder.text(&join.to_string()).await;
    }
    assert_eq!(flooder.closed().await, (1008, "rate_limited".to_owned()));
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("chorus_joins_total") < 300.0, "{metrics:?}");
}

#[tokio::test]
async fn pings_without_end_end_the_connection() {
    // They were answered at whatever rate they came.
    let gateway = options().start().await;
    let mut flooder = flooder(&gateway).await;
    for _ in 0..100 {
        flooder.send(0x89, b"a few are fine").await;
        assert_eq!(flooder.read_opcode(10).await.payload, b"a few are fine");
    }
    for _ in 0..10_000 {
        flooder.send(0x89, b"").await;
    }
    assert_eq!(flooder.closed().await, (1008, "rate_limited".to_owned()));
}

/// Has one client join as many rooms as it may and a hundred more, leave, and be forgotten. Gives the node's memory then,
/// when it is at its highest: everything is given up at once.
async fn too_many_rooms(gateway: &Gateway, limit: usize) -> u64 {
    let mut bystander = bystander(gateway).await;
    bystander.join("lobby").await;
    let before = gateway.rss();
    let mut flooder = flooder(gateway).await;
    let mut seen = counts(["too_large", "ok"]);
    let began = Instant::now();
    let join = |number: usize| json!({ "type": "join", "room": format!("room-{number}"), "ref": number });
    {
        let mut asking = std::pin::pin!(ask(&mut flooder, (0..limit + 100).map(join), &mut seen));
        // On a busy machine that takes longer than a heartbeat, and the bystander has to answer it.
        loop {
            tokio::select! {
                () = &mut asking => break,
                () = bystander.drain(Duration::from_millis(100)) => {}
            }
        }
    }
    assert_eq!(seen, [("too_large".to_owned(), 100), ("ok".to_owned(), limit)]);
    println!("{limit} rooms: {:?}, {} bytes more", began.elapsed(), gateway.rss().saturating_sub(before));
    bystander.say("lobby", "still here").await;
    drop(flooder);
    until(PATIENCE, "the rooms to be forgotten", async || {
        // It was set to a length that was read before somebody else's, and stood at some hundreds for ever.
        let left = gateway.metrics().await.sum("chorus_rooms");
        if left < 1.5 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
    println!("afterwards {} bytes more", gateway.rss().saturating_sub(before));
    gateway.rss()
}

#[tokio::test]
async fn rooms_of_one_client_are_forgotten_when_it_has_left_and_their_memory_is_used_again() {
    let config = format!("{FAST}rooms_per_connection = 3000\n[rooms]\nlinger_ms = 200\n");
    let gateway = options().config(&config).start().await;
    bystander(&gateway).await.close(1000, "").await;
    let before = gateway.rss();
    let mut peaks = Vec::new();
    for _ in 0..4 {
        peaks.push(too_many_rooms(&gateway, 3_000).await);
    }
    // The allocator keeps what it has; what counts is that it is used again.
    assert!(
        peaks[3] < peaks[0] + REMAINS / 4,
        "every flood leaves something behind: {before} before, {peaks:?}"
    );
    // Of each room it is known who is there, which is more than the rest of it.
    assert!(peaks[3] < before + 3 * REMAINS / 2, "{before} before, {peaks:?}");
}

#[tokio::test]
async fn ten_thousand_rooms_of_one_client_cost_redis_and_the_node_little() {
    let config = format!("{FAST}rooms_per_connection = 10000\n[rooms]\nlinger_ms = 200\n");
    let redis = testkit::Redis::start().await;
    let gateway = options().config(&config).redis(&redis).start().await;
    gateway.ready().await;
    let before = gateway.rss();
    let used = || {
        redis.number(&[
            "EVAL",
            "return tonumber(redis.call('INFO', 'memory'):match('used_memory:(%d+)'))",
            "0",
        ])
    };
    let memory = used();
    let peak = too_many_rooms(&gateway, 10_000).await;
    println!("Redis: {} bytes more, for 30 days", used() - memory);
    assert!(peak < before + 7 * REMAINS / 2, "{before} before, {peak} with 10,000 rooms");
}
