//! The Redis bus while slots of a cluster are on their way, nodes come and go, and one shard does not answer.

use std::sync::Arc;

use bus::{
    Ack, Append, Bus, BusError, Effect, ReadFrom,
    conformance::{self, append, append_many, bodies, follow, message, read, room},
};
use proto::RoomName;
use testkit::{Redis, RedisCluster, free_port};

use crate::faults::{Talk, node, until_up};

fn slot_of(cluster: &RedisCluster, room: &RoomName) -> u16 {
    cluster.slot(&format!("chat:{room}"))
}

/// One room on each of the first three nodes, which are primaries, in their order.
fn rooms(cluster: &RedisCluster) -> Vec<RoomName> {
    let mut rooms = vec![None; 3];
    while rooms.contains(&None) {
        let room = room("spread");
        let primary = cluster.primary_of(slot_of(cluster, &room));
        rooms[primary] = Some(room);
    }
    rooms.into_iter().flatten().collect()
}

/// How often a node has answered with this error.
fn answered(node: &Redis, error: &str) -> bool {
    format!("{:?}", node.command(&["INFO", "errorstats"])).contains(&format!("errorstat_{error}:"))
}

fn words(node: &Redis, args: &[&str]) -> String {
    format!("{:?}", node.command(args))
}

/// A seventh node, a primary without slots, known to all others.
async fn add(cluster: &mut RedisCluster) -> usize {
    let bus = free_port().to_string();
    let place = format!("cluster-port {bus}");
    // By default it becomes a replica when its last slot has gone.
    let stay = "cluster-allow-replica-migration no";
    let node = Redis::start_with(&["cluster-enabled yes", "cluster-node-timeout 1000", stay, &place]).await;
    cluster.nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), &bus]);
    cluster.nodes.push(node);
    until_known(cluster, "cluster_known_nodes:7").await;
    cluster.until_complete().await;
    cluster.nodes.len() - 1
}

/// Has every other node forget one, which has no slots any more, and stops it.
async fn remove(cluster: &mut RedisCluster, number: usize) {
    let mut node = cluster.nodes.remove(number);
    let id = words(&node, &["CLUSTER", "MYID"]);
    let id = id.split('"').nth(1).expect("an id").to_owned();
    for other in &cluster.nodes {
        other.command(&["CLUSTER", "FORGET", &id]);
    }
    node.kill().await;
    until_known(cluster, "cluster_known_nodes:6").await;
}

async fn until_known(cluster: &RedisCluster, line: &str) {
    for node in &cluster.nodes {
        conformance::until(line, async || {
            let info = words(node, &["CLUSTER", "INFO"]);
            if info.contains(line) { Ok(()) } else { Err(info) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_added_and_removed_under_load() {
    let mut cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), Ack::Local).await), node(&cluster.url(), Ack::Local).await);
    let rooms = rooms(&cluster);
    let slots: Vec<u16> = rooms.iter().map(|room| slot_of(&cluster, room)).collect();
    let talk = Talk::begin(&one, &other, rooms).await;
    let added = add(&mut cluster).await;
    for &slot in &slots {
        cluster.move_slot(slot, added, async || {}).await;
        talk.more().await;
    }
    until_up(&*one).await;
    for &slot in &slots {
        cluster.move_slot(slot, cluster.other_primary(slot), async || {}).await;
        talk.more().await;
    }
    remove(&mut cluster, added).await;
    talk.more().await;
    assert_eq!(talk.end(true).await, 0);
    // One that was taken away is nobody's concern.
    until_up(&*one).await;
    until_up(&other).await;
    let late = node(&cluster.url(), Ack::Local).await;
    until_up(&late).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_does_not_answer_concerns_its_own_rooms_alone() {
    let cluster = RedisCluster::start().await;
    let (one, other) =
        (Arc::new(node(&cluster.url(), Ack::Local).await), node(&cluster.url(), Ack::Local).await);
    let rooms = rooms(&cluster);
    let paused = Talk::begin(&one, &other, vec![rooms[0].clone()]).await;
    let others = Talk::begin(&one, &other, rooms[1..].to_vec()).await;
    cluster.nodes[0].command(&["CLIENT", "PAUSE", "10000", "ALL"]);
    let before = paused.heard();
    for _ in 0..10 {
        others.more().await;
    }
    // What was under way when it began may have come.
    assert!(paused.heard() <= before + 1, "the shard was not paused: {before}, {}", paused.heard());
    for bus in [&*one, &other] {
        conformance::until("bad health", async || {
            let health = bus.health();
            if health.up { Err(health.detail) } else { Ok(()) }
        })
        .await;
        let port = format!(":{}", cluster.nodes[0].port());
        assert!(bus.health().detail.contains(&port), "{:?}", bus.health());
    }
    // What is late is not said twice.
    paused.more().await;
    assert_eq!(paused.end(true).await, 0);
    assert_eq!(others.end(true).await, 0);
    until_up(&*one).await;
    until_up(&other).await;
}

/// All that a room has is there already, but its slot is here: the source answers ASK to whatever concerns the room.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_keys_have_gone_ahead_is_asked_for_there() {
    let cluster = RedisCluster::start().await;
    for ack in [Ack::Local, Ack::Replicated(1)] {
        let (one, other) = (node(&cluster.url(), ack).await, node(&cluster.url(), Ack::Local).await);
        let room = room("asked");
        let (recorder, _following) = follow(&other, &room).await;
        append(&one, &room, "before").await;
        let slot = slot_of(&cluster, &room);
        let (from, to) = (cluster.primary_of(slot), cluster.other_primary(slot));
        let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
        let (number, port) = (slot.to_string(), target.port().to_string());
        let id =
            |node: &Redis| words(node, &["CLUSTER", "MYID"]).split('"').nth(1).expect("an id").to_owned();
        target.command(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &id(source)]);
        source.command(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &id(target)]);
        let names = ["log", "head", "ids"].map(|what| format!("{{chat:{room}}}:{what}"));
        let [log, head, ids] = &names;
        source.command(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS", log, head, ids]);
        assert_eq!(source.number(&["CLUSTER", "COUNTKEYSINSLOT", &number]), 0);

        // Nothing of this waits for the slot, for that goes when all of it is done.
        assert_eq!(append_many(&one, &room, "m", 20).await.seq, 21);
        assert_eq!(read(&one, &room, ReadFrom::Newest, 1).await.head.seq, 21);
        assert_eq!(other.head(&room).await.expect("a head").seq, 21);
        let again = append(&one, &room, "m7").await;
        assert!(again.duplicate && again.position.seq == 8, "{again:?}");
        assert!(answered(source, "ASK"), "nothing was asked for elsewhere");

        for node in [target, source] {
            node.command(&["CLUSTER", "SETSLOT", &number, "NODE", &id(target)]);
        }
        append(&one, &room, "after").await;
        recorder.until_last("after").await;
        let expected: Vec<String> = ["before".to_owned()]
            .into_iter()
            .chain((1..=20).map(|n| format!("m{n}")))
            .chain(["after".to_owned()])
            .collect();
        assert_eq!(recorder.bodies(), expected);
        assert_eq!(recorder.resets(), []);
    }
}

/// A node that was just added has no slot yet, so nobody's map shows it when the first comes: the answer ASK names
/// somebody unknown. What is said meanwhile waits.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_slot_of_a_new_node_is_waited_for() {
    let mut cluster = RedisCluster::start().await;
    let one = node(&cluster.url(), Ack::Local).await;
    let room = room("first");
    let (recorder, _following) = follow(&one, &room).await;
    let slot = slot_of(&cluster, &room);
    let added = add(&mut cluster).await;
    let source = &cluster.nodes[cluster.primary_of(slot)];
    let mut queued = Vec::new();
    cluster
        .move_slot(slot, added, async || {
            if !queued.is_empty() {
                return;
            }
            queued = (0..20).map(|n| one.append(&room, message(&format!("m{n}")))).collect();
            conformance::until(
                "ASK",
                async || if answered(source, "ASK") { Ok(()) } else { Err(String::new()) },
            )
            .await;
        })
        .await;
    for (number, appending) in queued.into_iter().enumerate() {
        let appended = appending.await.expect("an append that waited");
        assert_eq!((appended.position.seq, appended.duplicate), (number as u64 + 1, false));
    }
    recorder.until_last("m19").await;
    assert_eq!(recorder.resets(), []);
}

/// Some keys are here and some are there: neither can run the script.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_in_two_places_is_waited_for_in_order_and_within_a_deadline() {
    let cluster = RedisCluster::start().await;
    let (one, other) = (node(&cluster.url(), Ack::Local).await, node(&cluster.url(), Ack::Local).await);
    let room = room("halved");
    let (recorder, _following) = follow(&other, &room).await;
    append(&one, &room, "before").await;
    let slot = slot_of(&cluster, &room);
    let mut queued = Vec::new();
    for long in [false, true] {
        let source = &cluster.nodes[cluster.primary_of(slot)];
        source.command(&["CONFIG", "RESETSTAT"]);
        let mut halved = false;
        cluster
            .move_slot(slot, cluster.other_primary(slot), async || {
                // Later all of its keys have gone, and there is nothing to wait for.
                if std::mem::replace(&mut halved, true) {
                    return;
                }
                if long {
                    let answer = one.append(&room, message("unsure")).await;
                    let Err(BusError::Unavailable { cause }) = answer else { panic!("{answer:?}") };
                    assert!(cause.contains("TRYAGAIN"), "{cause}");
                } else {
                    queued = (0..20).map(|n| one.append(&room, message(&format!("m{n}")))).collect();
                }
                conformance::until("TRYAGAIN", async || {
                    if answered(source, "TRYAGAIN") { Ok(()) } else { Err(String::new()) }
                })
                .await;
            })
            .await;
        for (number, appending) in queued.drain(..).enumerate() {
            // On a busy machine a connection may be opened anew meanwhile, and what was under way sent again: then it
            // says that it was appended already.
            let appended = appending.await.expect("an append that waited");
            assert_eq!(appended.position.seq, number as u64 + 2);
        }
    }
    // It was not appended, and is now.
    let appended = append(&one, &room, "unsure").await;
    assert_eq!((appended.position.seq, appended.duplicate), (22, false));
    recorder.until_last("unsure").await;
    let log = read(&one, &room, ReadFrom::AfterSeq(0), 100).await;
    assert_eq!(recorder.bodies(), bodies(&log.events));
    assert_eq!(recorder.resets(), []);
}

/// Two nodes that name each other are asked again and again until the deadline, but not as fast as they answer: every
/// turn has all rooms subscribed to anew.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_name_each_other_are_not_asked_in_a_storm() {
    let cluster = RedisCluster::start().await;
    let bus = node(&cluster.url(), Ack::Local).await;
    let room = room("disputed");
    let slot = slot_of(&cluster, &room);
    let (from, to) = (cluster.primary_of(slot), cluster.other_primary(slot));
    let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
    let id = words(target, &["CLUSTER", "MYID"]).split('"').nth(1).expect("an id").to_owned();
    let slot = slot.to_string();
    source.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    let answer = bus.append(&room, message("first")).await;
    let Err(BusError::Unavailable { cause }) = answer else { panic!("{answer:?}") };
    assert!(cause.contains("MOVED"), "{cause}");
    for node in [source, target] {
        let stats = words(node, &["INFO", "errorstats"]);
        let count = stats.split("errorstat_MOVED:count=").nth(1).unwrap_or_default();
        let count: String = count.chars().take_while(char::is_ascii_digit).collect();
        assert!(count.parse::<u32>().is_ok_and(|count| (1..500).contains(&count)), "{stats}");
    }
    for node in &cluster.nodes {
        let _ = node.try_command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
    }
    conformance::until("an append", async || {
        bus.append(&room, message("first")).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// What was deleted is in the marks, a key that few rooms have and that a reading does not name at first.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_marks_are_elsewhere_is_read_as_it_is() {
    let cluster = RedisCluster::start().await;
    let bus = Arc::new(node(&cluster.url(), Ack::Local).await);
    let room = room("marked");
    for n in 1..=10 {
        let said =
            Append { body: format!(r#""type":"message","data":{n}}}"#).into(), ..message(&format!("m{n}")) };
        bus.append(&room, said).await.expect("a message");
    }
    let target = read(&*bus, &room, ReadFrom::AfterSeq(4), 1).await.events[0].position.clone();
    bus.append(&room, Append { effect: Effect::Delete(target), ..message("gone") })
        .await
        .expect("a deletion");
    let slot = slot_of(&cluster, &room);
    for marks_are_last in [true, false] {
        let to = cluster.other_primary(slot);
        let both = [&cluster.nodes[cluster.primary_of(slot)], &cluster.nodes[to]];
        let rank = |key: &str| u8::from(key.ends_with(":marks") == marks_are_last);
        let mut readings = Vec::new();
        let between = async || {
            both.iter().for_each(|node| drop(node.command(&["CONFIG", "RESETSTAT"])));
            let (bus, room) = (Arc::clone(&bus), room.clone());
            let reading = tokio::spawn(async move { bus.read(&room, ReadFrom::AfterSeq(0), 100).await });
            conformance::until("an answer", async || {
                let put_off = both.iter().any(|node| answered(node, "TRYAGAIN"));
                if put_off || reading.is_finished() { Ok(()) } else { Err(String::new()) }
            })
            .await;
            readings.push(reading);
        };
        cluster.move_slot_by(slot, to, rank, between).await;
        assert!(readings.len() >= 4, "a key at a time");
        for reading in readings {
            let page = reading.await.expect("a reading").expect("a page");
            let numbers: Vec<u64> = page.events.iter().map(|event| event.position.seq).collect();
            assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
        }
    }
}

/// What is left while all is asked for anew is left all the same, or its messages would come for as long as the connection lasts.
#[tokio::test(flavor = "multi_thread")]
async fn rooms_that_are_left_while_slots_move_are_subscribed_to_no_more() {
    let cluster = RedisCluster::start().await;
    let bus = node(&cluster.url(), Ack::Local).await;
    let moving = room("moving");
    let (_recorder, _following) = follow(&bus, &moving).await;
    let slot = slot_of(&cluster, &moving);
    for _ in 0..6 {
        let mut followings = Vec::new();
        for _ in 0..100 {
            followings.push(follow(&bus, &room("passing")).await);
        }
        // They are left a few at a time, from before the map changes until after that was learnt.
        let (leaving, to) = (followings.len() / 10, cluster.other_primary(slot));
        tokio::join!(cluster.move_slot(slot, to, async || {}), async {
            while !followings.is_empty() {
                followings.truncate(followings.len().saturating_sub(leaving));
                tokio::task::yield_now().await;
                append(&bus, &moving, &room("m").to_string()).await;
            }
        });
    }
    conformance::until("only the room that is followed to be subscribed to", async || {
        let channels = |node: &Redis| words(node, &["PUBSUB", "SHARDCHANNELS", "chat:*"]);
        let passing: usize = cluster.nodes.iter().map(|node| channels(node).matches("passing").count()).sum();
        if passing == 0 { Ok(()) } else { Err(format!("{passing} are")) }
    })
    .await;
}
