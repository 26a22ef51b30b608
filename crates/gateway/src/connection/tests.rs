//! The connection against real sockets.

use socket2::SockRef;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use bus::{Bus, MemoryBus, Retention, RoomState};
use proto::{Epoch, UserId};

use super::*;
use crate::{
    config::{Config, TlsConfig},
    room::{Frame, Mark, Shared},
    rooms::Rooms,
    tls::Tls,
};

/// A node's rooms over a bus in memory, and what is counted.
fn node(config: Config) -> (Arc<Rooms>, Arc<Metrics>) {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new("test", Retention { length: 10, age_ms: 60_000 }));
    let metrics = Arc::new(Metrics::new());
    let shared = Shared::new(Arc::new(config.into()), Arc::default(), Arc::clone(&metrics));
    (Rooms::new(bus, Arc::new(shared)), metrics)
}

/// A client's socket, and the node's.
async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// The room's roster has these two.
fn let_in_alice_and_bob(room: &Room) {
    let members = ["alice", "bob"]
        .map(|name| (UserId::parse(name).unwrap(), Bytes::from(format!(r#"{{"user":"{name}"}}"#))));
    let read = RoomState { version: 1, count: 2, members: Some(members.into()), ..RoomState::default() };
    room.roster.load(&room.name, read, drop);
}

fn at(seq: u64) -> Position {
    Position { epoch: Epoch::parse("e").unwrap(), seq }
}

fn event(seq: u64, bytes: Bytes) -> Frame {
    Frame { bytes, mark: Mark::Event(at(seq)), sent_at: None, trace: None }
}

#[tokio::test]
async fn nothing_waits_for_a_socket_that_is_gone() {
    // The closing session waited, without ever yielding, until its last words were written; two clients that
    // vanished while their node drained took both threads of the node with them.
    let (client, server) = sockets().await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let connection = Arc::new(Connection::new(1, server, 1000, Arc::new(Metrics::new())));
    connection.readable().await.unwrap();

    connection.finish(None, Bytes::from_static(b"the last words"));
    for _ in 0..100 {
        if !connection.has_unsent() {
            return;
        }
        let _ = connection.unblock().await;
    }
    panic!("the last words still wait for a socket that is gone");
}

#[tokio::test]
async fn what_a_full_socket_did_not_take_of_a_record_comes_when_it_opens() {
    // Encrypted is written, as the writer counts: without a look at what the session holds nobody would have sent it before
    // the next frame.
    let certificates = testkit::Certificates::new();
    let (certificate, key) = (certificates.file("server.pem"), certificates.file("server.key"));
    let config = TlsConfig { certificate: Some(certificate), key: Some(key) };
    let tls = Tls::new(&config, Arc::new(Metrics::new())).unwrap().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, ca) = (listener.local_addr().unwrap(), certificates.file("ca.pem"));
    let accepted = async {
        let (server, _) = listener.accept().await.unwrap();
        SockRef::from(&server).set_send_buffer_size(4096).unwrap();
        tls.accept(server, Duration::from_secs(20)).await
    };
    let (server, client) = tokio::join!(accepted, testkit::shake_hands(addr, &ca, &[], &[]));
    let connection = Arc::new(Connection::new(1, server.unwrap(), 1_000_000, Arc::new(Metrics::new())));

    let mut sent = 0;
    while !connection.is_blocked() {
        connection.send(Bytes::from(vec![b'x'; 10_000]));
        sent += 10_000;
    }
    assert!(!connection.writer.lock().has_unsent(), "one record takes a frame whole");
    assert!(connection.has_unsent());
    let mut client = client.unwrap();
    let reading = tokio::spawn(async move {
        let mut all = vec![0; sent];
        client.read_exact(&mut all).await.unwrap();
        client
    });
    let written = async {
        while connection.has_unsent() {
            connection.unblock().await.unwrap();
        }
    };
    testkit::within(testkit::PATIENCE, "the rest to be written", written).await;
    let mut client = testkit::within(testkit::PATIENCE, "all of it to come", reading).await.unwrap();
    assert!(!connection.is_blocked());

    connection.end_writing();
    let mut rest = Vec::new();
    // Without a word (close_notify) this would be an error.
    testkit::within(testkit::PATIENCE, "the end", client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
}

/// What nobody writes stays for ever: a flusher that finds the lock taken goes, and the holder has to look again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_rooms_that_are_flushed_at_the_same_moment_all_come() {
    const ROOMS: usize = 6;
    const ROUNDS: u64 = 3_000;
    let (rooms, metrics) = node(Config::default());
    let (client, server) = sockets().await;
    let mut client = BufReader::new(client);
    let connection = Arc::new(Connection::new(1, server, 1_000_000, metrics));

    let (begin, round) = watch::channel(0);
    for number in 0..ROOMS {
        let claim = rooms.enter(&proto::RoomName::parse(&format!("room-{number}")).unwrap()).await.unwrap();
        let room = Arc::clone(claim.room());
        room.start(at(0));
        connection.join(claim, at(0), None);
        let mut round = round.clone();
        tokio::spawn(async move {
            while round.changed().await.is_ok() {
                let seq = *round.borrow();
                room.push(event(seq, format!("{number} {seq}\n").into()));
            }
        });
    }
    let replier = Arc::clone(&connection);
    tokio::spawn(async move {
        let mut round = round;
        while round.changed().await.is_ok() {
            replier.send(Bytes::from(format!("reply {}\n", *round.borrow())));
        }
    });
    for seq in 1..=ROUNDS {
        begin.send_replace(seq);
        let mut lines = Vec::new();
        while lines.len() <= ROOMS {
            let mut line = String::new();
            let what = format!("the rest of round {seq}: it has {lines:?}");
            testkit::within(testkit::PATIENCE, &what, client.read_line(&mut line)).await.unwrap();
            lines.push(line);
        }
        lines.sort_unstable();
        let whole = (0..ROOMS).map(|room| room.to_string()).chain(["reply".to_owned()]);
        assert!(lines.iter().cloned().eq(whole.map(|who| format!("{who} {seq}\n"))), "{lines:?}");
    }
}

/// Whoever is behind may have missed it, and is told later.
#[tokio::test]
async fn who_left_is_remembered_as_long_as_somebody_is_behind() {
    let mut config = Config::default();
    // All of it stays in the tail.
    (config.tail.age_seconds, config.tail.bytes) = (3600, 100_000_000);
    let (rooms, metrics) = node(config);
    let claim = rooms.enter(&proto::RoomName::parse("lobby").unwrap()).await.unwrap();
    let room = Arc::clone(claim.room());
    room.start(at(0));
    let_in_alice_and_bob(&room);

    let (mut client, server) = sockets().await;
    let connection = Arc::new(Connection::new(1, server, 1000, metrics));
    connection.join(claim, at(0), None);
    let mut said = 0;
    let mut say = || {
        said += 1;
        room.push(event(said, vec![b'x'; 100_000].into()));
    };
    let quiet = async || {
        testkit::until(testkit::PATIENCE, "the room to be flushed", async || {
            if room.is_flushing() { Err("it is at it".to_owned()) } else { Ok(()) }
        })
        .await;
    };
    while !connection.is_blocked() {
        say();
        quiet().await;
    }
    let left = br#"{"type":"presence","room":"lobby","joined":[],"left":[{"user":"bob"}],"count":1}"#;
    room.roster.hear(2, left, say);
    quiet().await;
    let later = Instant::now() + Duration::from_mins(2);
    let bob = || room.roster.news(&room.name).iter().any(|news| news.windows(3).any(|word| word == b"bob"));
    room.trim(later);
    assert!(bob(), "it has yet to be told");

    let mut all = vec![0; said as usize * 100_000];
    let reading = tokio::spawn(async move {
        client.read_exact(&mut all).await.unwrap();
        client
    });
    let written = async {
        while !reading.is_finished() {
            connection.unblock().await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    testkit::within(testkit::PATIENCE, "all of it to be read", written).await;
    room.trim(later);
    assert!(bob(), "nobody has looked since whether it is level");
    let _client = reading.await.unwrap();
    room.push(event(said + 1, Bytes::from_static(b"x")));
    quiet().await;
    room.trim(later);
    assert!(!bob(), "everybody knows");
}

/// What is told to the others while somebody reads the log is in no log.
#[tokio::test]
async fn whoever_reads_the_log_is_told_who_went_meanwhile() {
    let (rooms, metrics) = node(Config::default());
    let mut claim = rooms.enter(&proto::RoomName::parse("lobby").unwrap()).await.unwrap();
    let room = Arc::clone(claim.room());
    room.start(at(10));
    let_in_alice_and_bob(&room);

    let (mut client, server) = sockets().await;
    let connection = Arc::new(Connection::new(1, server, 1000, metrics));
    claim.listen();
    connection.join(claim, at(8), None);
    let read = connection.read_on().unwrap();
    let left = br#"{"type":"presence","room":"lobby","joined":[],"left":[{"user":"bob"}],"count":1}"#;
    room.roster.hear(2, left, || room.push(crate::relay::ephemeral_frame(left)));
    connection.replay(&read, [9, 10].map(|seq| event(seq, Bytes::from_static(b"event;"))).into(), None);
    room.push(event(11, Bytes::from_static(b"last;")));

    let mut heard = Vec::new();
    let until_last = async {
        while !heard.ends_with(b"last;") {
            client.read_buf(&mut heard).await.unwrap();
        }
    };
    testkit::within(testkit::PATIENCE, "the events", until_last).await;
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.starts_with("event;event;"), "{heard}");
    assert_eq!(heard.matches(r#""left":[{"user":"bob"}]"#).count(), 1, "{heard}");
}

/// It has left before the event came whose place the `ok` was to take.
#[tokio::test]
async fn whoever_leaves_is_answered_what_waited_for_a_place() {
    let (rooms, metrics) = node(Config::default());
    let claim = rooms.enter(&proto::RoomName::parse("lobby").unwrap()).await.unwrap();
    let room = Arc::clone(claim.room());
    room.start(at(10));
    let (mut client, server) = sockets().await;
    let connection = Arc::new(Connection::new(1, server, 1000, metrics));
    connection.join(claim, at(8), None);
    let instead = Instead { placed: Bytes::from_static(b"placed"), alone: Bytes::from_static(b"alone") };
    connection.replace_event(&room, 11, instead);
    assert!(connection.leave(&room));
    connection.send(Bytes::from_static(b"left"));
    let mut heard = [0; 9];
    testkit::within(testkit::PATIENCE, "both answers", client.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, *b"aloneleft");
}
