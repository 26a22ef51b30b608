//! Event streams (`GET /v1/events`): the same rooms as by a WebSocket, with the same promises.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{
    Client, Cluster, EventStream, Gateway, Ledger, Nginx, PATIENCE, Redis, Request, Signal, Stand,
    StreamDial, StreamEnd, token, until, within,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::fixture::{FAST, cluster, options, say_many, single};
use crate::tools;

/// A stream of somebody's.
pub(crate) async fn stream(gateway: &Gateway, user: &str, rooms: &[&str]) -> EventStream {
    let mut stream = StreamDial::to(gateway.addr(), rooms).bearer(&token(user)).welcomed().await;
    for _ in rooms {
        stream.expect("ok").await;
    }
    stream
}

pub(crate) async fn until_streams(gateway: &Gateway, count: f64) {
    until(PATIENCE, &format!("{count} streams"), async || {
        let seen = gateway.metrics().await.sum("chorus_streams");
        if (seen - count).abs() < 0.5 { Ok(()) } else { Err(seen.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_stream_has_the_frames_of_a_socket() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "before").await;
    alice.until_events("lobby", 1).await;

    let dial = StreamDial::to(gateway.addr(), &["lobby", "@me", "lobby", "@bob"]).query("recent", "1");
    let mut bob = dial.bearer(&token("bob")).open().await.expect("a stream");
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(bob.header(name), Some(value), "{name}");
    }
    let welcome = bob.next().await.unwrap();
    assert_eq!((&welcome["type"], &welcome["user"]), (&json!("welcome"), &json!("bob")));
    assert!((100..=4_000).contains(&bob.retry().unwrap()), "{:?}", bob.retry());
    assert!(
        bob.last_event_id().contains("lobby~") && bob.last_event_id().contains("@bob~"),
        "from the first frame on"
    );
    let ok = bob.next().await.unwrap();
    let expected = (json!("ok"), json!("lobby"), json!(0), json!(1), json!(false));
    let seen = ["type", "room", "seq", "head", "recovered"].map(|key| ok[key].clone());
    assert_eq!(seen, [expected.0, expected.1, expected.2, expected.3, expected.4], "{ok}");
    // The rooms' order is the query's, and each is there once.
    let frames = [bob.next().await.unwrap(), bob.next().await.unwrap()];
    let kinds =
        frames.each_ref().map(|frame| (frame["type"].as_str().unwrap(), frame["room"].as_str().unwrap()));
    assert!(kinds.contains(&("ok", "@bob")) && kinds.contains(&("message", "lobby")), "{kinds:?}");

    // What a client wrote in several lines comes in several lines.
    let text = "{\"type\":\"message\",\"room\":\"lobby\",\"data\":{\n  \"text\": \"a\\nb\",\r\n\"more\":\r[1,\n\n2] }}";
    alice.send_text(text.to_owned()).await;
    let message = bob.expect("message").await;
    assert_eq!(message["data"], json!({ "text": "a\nb", "more": [1, 2] }));
    alice.ok(json!({ "type": "typing", "room": "lobby", "on": true })).await;
    assert_eq!(bob.expect("typing").await["from"], "alice");
}

#[tokio::test]
async fn whoever_comes_back_on_another_node_misses_and_repeats_nothing() {
    let cluster = cluster(2).await;
    let rooms = ["one", "two", "three"];
    let mut talker = Client::connect(cluster.addr(0), "talker").await;
    for room in rooms {
        talker.join(room).await;
    }
    let mut bob = stream(&cluster.nodes[0], "bob", &rooms).await;
    let mut said = 0;
    for round in 1..=6 {
        // It is cut in the middle of what it is sent.
        for room in rooms {
            say_many(&mut talker, room, said..said + 10).await;
        }
        said += 10;
        bob.until_events("three", said - round).await;
        let stand = bob.cut();
        for room in &rooms[..round % 3] {
            say_many(&mut talker, room, said..said + 5).await;
        }
        for room in &rooms[round % 3..] {
            say_many(&mut talker, room, said..said + 5).await;
        }
        said += 5;
        let dial = StreamDial::to(cluster.addr(round % 2), &rooms).bearer(&token("bob"));
        let dial = if round < 4 { dial.resume(stand) } else { dial.resume_by_query(stand) };
        bob = dial.welcomed().await;
    }
    for room in rooms {
        bob.until_events(room, said).await;
        talker.until_events(room, said).await;
        assert_eq!(bob.ledger(room).data(), talker.ledger(room).data());
        assert_eq!(bob.ledger(room).unrecovered, 0);
    }
    // Whoever was cut before it heard of any event goes on from where it joined.
    let quiet = stream(&cluster.nodes[0], "carol", &rooms).await.cut();
    say_many(&mut talker, "two", said..said + 3).await;
    let mut carol =
        StreamDial::to(cluster.addr(1), &rooms).bearer(&token("carol")).resume(quiet).welcomed().await;
    carol.until_events("two", 3).await;
    assert_eq!(carol.ledger("two").unrecovered, 0);
}

#[tokio::test]
async fn the_header_beats_the_query_and_what_does_not_hold_is_told() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    let epoch = alice.join("lobby").await["epoch"].as_str().unwrap().to_owned();
    say_many(&mut alice, "lobby", 0..5).await;
    alice.until_events("lobby", 5).await;
    // What the client holds is at `held`.
    let open = async |header: &str, query: &str, held: u64| {
        let mut ledger = Ledger::default();
        ledger.seq = held;
        let rooms = [("lobby".to_owned(), ledger)].into();
        let dial = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("bob")).query("recent", "2");
        let dial =
            dial.query("last_event_id", query).resume(Stand { last_event_id: header.to_owned(), rooms });
        let ok = dial.welcomed().await.expect("ok").await;
        (ok["seq"].as_u64().unwrap(), ok["recovered"].as_bool().unwrap())
    };
    let (old, older) = (format!("lobby~{epoch}~4"), format!("lobby~{epoch}~1"));
    assert_eq!(open(&old, &older, 4).await, (4, true));
    assert_eq!(open("", &older, 1).await, (1, true), "an empty header is none");
    assert_eq!(open("", "", 0).await, (3, false), "then the last two");
    assert_eq!(open(&format!("lobby~{epoch}~9"), "", 9).await, (3, false), "beyond the head");
    assert_eq!(open("lobby~gone.1~2", "", 2).await, (3, false), "another log");
    assert_eq!(open("garden~gone.1~2", "", 0).await, (3, false), "another room");
}

#[tokio::test]
async fn a_log_that_begins_anew_is_told() {
    let cluster = cluster(1).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    say_many(&mut alice, "lobby", 0..3).await;
    let mut bob = stream(&cluster.nodes[0], "bob", &["lobby"]).await;
    cluster.redis.command(&["FLUSHALL"]);
    alice.say("lobby", "anew").await;
    let reset = bob.expect("reset").await;
    assert_eq!(reset["reason"], "new");
    bob.until_events("lobby", 1).await;
    // From there it can go on elsewhere, too.
    let stand = bob.cut();
    alice.say("lobby", "more").await;
    let mut bob =
        StreamDial::to(cluster.addr(0), &["lobby"]).bearer(&token("bob")).resume(stand).welcomed().await;
    bob.until_events("lobby", 2).await;
    assert_eq!(bob.ledger("lobby").data(), ["anew", "more"]);
}

#[tokio::test]
async fn heartbeats_are_comments_and_streams_are_counted_apart() {
    let gateway = options().config("[heartbeat]\ninterval_ms = 100\n").start().await;
    let mut bob = stream(&gateway, "bob", &["lobby", "garden"]).await;
    let began = Instant::now();
    bob.until_comments(5).await;
    // It never answers, and is there all the same.
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let metrics = gateway.metrics().await;
    let expected = [("chorus_streams", 1.0), ("chorus_connections", 0.0), ("chorus_members", 2.0)];
    for (name, value) in expected {
        assert!((metrics.sum(name) - value).abs() < 0.5, "{name}: {metrics:?}");
    }
    let open = metrics.with("chorus_connections_by_state", "transport", "sse");
    assert!((open - 1.0).abs() < 0.5, "{metrics:?}");
    drop(bob);
    until_streams(&gateway, 0.0).await;
    let metrics = gateway.metrics().await;
    assert!(metrics.sum("chorus_members").abs() < 0.5, "{metrics:?}");
}

#[tokio::test]
async fn whoever_listens_by_a_stream_is_there() {
    let cluster = cluster(2).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let bob = stream(&cluster.nodes[1], "bob", &["lobby"]).await;
    alice.until_present("lobby", &["alice", "bob"]).await;
    drop(bob);
    alice.until_present("lobby", &["alice"]).await;
}

/// Says so many large messages.
async fn flood(sender: &mut Client, messages: usize) {
    let text = "x".repeat(16_000);
    for number in 0..messages {
        sender.say("lobby", json!({ "number": number, "text": text })).await;
    }
}

async fn stalled(gateway: &Gateway, user: &str) -> EventStream {
    let dial = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token(user)).receive_buffer(4096);
    let mut stream = dial.welcomed().await;
    stream.expect("ok").await;
    stream
}

#[tokio::test]
async fn a_slow_reader_delays_nobody_and_catches_up_from_the_log() {
    let cluster = cluster(1).await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 50).await;
    let before = cluster.nodes[0].rss();
    let mut slow = Vec::new();
    for number in 0..20 {
        slow.push(stalled(&cluster.nodes[0], &format!("slow-{number}")).await);
    }
    let began = Instant::now();
    flood(&mut fast, 150).await;
    fast.until_events("lobby", 200).await;
    assert!(began.elapsed() < Duration::from_secs(15), "the fast one took {:?}", began.elapsed());
    let grown = cluster.nodes[0].rss().saturating_sub(before);
    // A queue for each would hold 20 × 2.4 MB.
    assert!(grown < 20_000_000, "20 slow readers cost {grown} bytes");
    for stream in &mut slow[..3] {
        stream.until_events("lobby", 150).await;
        assert!(stream.ledger("lobby").resets.is_empty());
    }
    fast.say("lobby", "and on").await;
    slow[0].until_events("lobby", 151).await;
}

#[tokio::test]
async fn whoever_reads_nothing_past_the_deadline_is_cut_and_can_resume() {
    let config = format!("{FAST}slow_consumer_ms = 1000\n");
    let cluster = Cluster::start_with(Redis::start().await, 2, options().config(&config)).await;
    let mut slow = stalled(&cluster.nodes[0], "slow").await;
    let mut fast = Client::connect(cluster.addr(0), "fast").await;
    fast.join("lobby").await;
    flood(&mut fast, 100).await;
    until(PATIENCE, "the slow one to be given up", async || {
        let closed = cluster.nodes[0].metrics().await.with("chorus_closes_total", "code", "1013");
        if closed > 0.5 { Ok(()) } else { Err(closed.to_string()) }
    })
    .await;
    // Nothing of it is left, not even with the HTTP connection, which waits for nobody either.
    until_streams(&cluster.nodes[0], 0.0).await;
    while slow.next().await.is_some() {}
    assert_eq!(slow.end(), Some(StreamEnd::Cut));
    let held = slow.ledger("lobby").events.len();
    assert!(held < 100, "{held}");
    let dial = StreamDial::to(cluster.addr(1), &["lobby"]).bearer(&token("slow"));
    let mut slow = dial.resume(slow.cut()).welcomed().await;
    slow.until_events("lobby", 100).await;
    assert_eq!(slow.ledger("lobby").unrecovered, 0);
}

#[tokio::test]
async fn a_drain_says_when_to_come_back_and_loses_nothing() {
    let mut cluster = cluster(2).await;
    let mut talker = Client::connect(cluster.addr(1), "talker").await;
    talker.join("lobby").await;
    let mut streams = Vec::new();
    for number in 0..20 {
        streams.push(stream(&cluster.nodes[0], &format!("bob-{number}"), &["lobby", "garden"]).await);
    }
    say_many(&mut talker, "lobby", 0..10).await;
    let mut node = cluster.nodes.remove(0);
    node.signal(Signal::TERM);
    say_many(&mut talker, "lobby", 10..20).await;
    for (number, mut stream) in streams.into_iter().enumerate() {
        let closing = stream.expect("closing").await;
        assert_eq!((&closing["code"], &closing["reason"]), (&json!(1012), &json!("restart")));
        assert_eq!(closing["retry_after_ms"].as_u64(), stream.retry(), "an EventSource waits by itself");
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.end(), Some(StreamEnd::Whole), "a stream that ends is no stream that broke");
        let dial = StreamDial::to(cluster.nodes[0].addr(), &["lobby", "garden"]);
        let dial = dial.bearer(&token(&format!("bob-{number}"))).resume(stream.cut());
        let mut stream = dial.welcomed().await;
        stream.until_events("lobby", 20).await;
        assert_eq!(stream.ledger("lobby").unrecovered, 0);
    }
    let status = node.exited(PATIENCE).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_node_that_is_killed_costs_nothing_either() {
    let mut cluster = cluster(2).await;
    let mut talker = Client::connect(cluster.addr(1), "talker").await;
    talker.join("lobby").await;
    let mut bob = stream(&cluster.nodes[0], "bob", &["lobby"]).await;
    say_many(&mut talker, "lobby", 0..10).await;
    cluster.nodes.remove(0).kill().await;
    while bob.next().await.is_some() {}
    assert_eq!(bob.end(), Some(StreamEnd::Cut));
    say_many(&mut talker, "lobby", 10..20).await;
    let dial = StreamDial::to(cluster.nodes[0].addr(), &["lobby"]).bearer(&token("bob"));
    let mut bob = dial.resume(bob.cut()).welcomed().await;
    bob.until_events("lobby", 20).await;
    assert_eq!(bob.ledger("lobby").unrecovered, 0);
}

/// A ticket of somebody's.
pub(crate) async fn ticket(gateway: &Gateway, user: &str) -> String {
    let answer = Request::post("/v1/tickets").bearer(&token(user)).send(gateway.addr()).await;
    answer.json()["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test]
async fn through_the_shipped_nginx_each_event_comes_at_once() {
    let cluster = cluster(3).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;
    let mut alice = Client::connect(cluster.addr(0), "alice").await;
    alice.join("lobby").await;
    let ticket = ticket(&cluster.nodes[0], "bob").await;
    let dial = StreamDial::to(nginx.addr(), &["lobby"]).query("ticket", &ticket);
    let mut bob = dial.welcomed().await;
    bob.expect("ok").await;
    for number in 0..5 {
        alice.say("lobby", number).await;
        assert_eq!(bob.expect("message").await["data"], json!(number));
    }
    let node = cluster.nodes;
    for mut gateway in node {
        gateway.signal(Signal::TERM);
        gateway.exited(PATIENCE).await;
    }
    while bob.next().await.is_some() {}
    assert_eq!(StreamDial::to(nginx.addr(), &["lobby"]).query("ticket", &ticket).refused().await.status, 502);
    for log in [nginx.access_log(), nginx.error_log()] {
        assert!(!log.contains(&ticket), "a ticket in a log: {log}");
    }
}

#[tokio::test]
async fn an_old_proxy_gets_what_it_understands() {
    // HTTP/1.0, as nginx speaks to what is behind it unless it is told otherwise, knows no chunks.
    let gateway = single().await;
    let mut socket = TcpStream::connect(gateway.addr()).await.unwrap();
    let request =
        format!("GET /v1/events?room=lobby HTTP/1.0\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = async {
        let mut lines = BufReader::new(socket).lines();
        while !text.contains("data: {\"type\":\"ok\"") {
            text += &(lines.next_line().await.unwrap().expect("the stream goes on") + "\n");
        }
    };
    within(PATIENCE, "the join", read).await;
    let (head, body) = text.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 ") && !head.contains("chunked"), "{head}");
    assert!(body.starts_with("retry: "), "{body}");
}

#[tokio::test]
async fn many_streams_and_sockets_on_two_nodes_hold_the_same() {
    let cluster = cluster(2).await;
    let mut talkers = Vec::new();
    for number in 0..4 {
        let mut talker = Client::connect(cluster.addr(number % 2), &format!("talker-{number}")).await;
        talker.join("lobby").await;
        talkers.push(talker);
    }
    let mut streams = Vec::new();
    for number in 0..20 {
        streams.push(stream(&cluster.nodes[number % 2], &format!("bob-{number}"), &["lobby"]).await);
    }
    let talks = talkers.into_iter().map(|mut talker| {
        tokio::spawn(async move {
            say_many(&mut talker, "lobby", 0..50).await;
            talker
        })
    });
    let mut held: Vec<Vec<Value>> = Vec::new();
    for talk in talks.collect::<Vec<_>>() {
        let mut talker = talk.await.unwrap();
        talker.until_events("lobby", 200).await;
        held.push(talker.ledger("lobby").data().into_iter().cloned().collect());
    }
    for stream in &mut streams {
        stream.until_events("lobby", 200).await;
        held.push(stream.ledger("lobby").data().into_iter().cloned().collect());
    }
    assert!(held.iter().all(|one| *one == held[0]));
}

#[tokio::test]
async fn the_example_in_the_documentation_works() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "hello").await;
    let page = std::fs::read_to_string(tools::project().join("docs/PROTOCOL.md")).unwrap();
    let example = page.split("```sh\n# event-stream\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = example.expect("an example").replace("127.0.0.1:8080", &gateway.addr().to_string());
    let mut curl = Command::new("sh")
        .args(["-c", &format!("exec {example}")])
        .env("TOKEN", token("bob"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let said = async {
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let said = line.contains("\"data\":\"hello\"");
            seen.push(line);
            if said {
                return seen;
            }
        }
        panic!("curl ended, having said {seen:?}");
    };
    let seen = within(PATIENCE, "what was said", said).await;
    assert!(seen[0].starts_with("retry: "), "{seen:?}");
}
