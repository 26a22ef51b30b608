//! Redis forgets, or remembers less than it said.

use bus::{
    Bus, ReadFrom, Verdict,
    conformance::{append, append_many, follow, message, read, room, until},
};
use proto::{Position, RoomName, server::ResetReason};
use testkit::Redis;

use super::{node, until_back};

/// With `everysec` Redis puts off a write while an fsync is under way, and a copy of its files lacks what was
/// acknowledged.
const ALWAYS: &str = "appendfsync always";

/// Appends one after the other, each again with its key until it is there: a disk that is busy with something else holds
/// up a Redis that writes each of them to it.
async fn append_synced(bus: &dyn Bus, room: &RoomName, what: &str, count: u64) -> Position {
    let mut last = None;
    for number in 1..=count {
        let id = format!("{what}{number}");
        let appended =
            until(&id, async || bus.append(room, message(&id)).await.map_err(|error| error.to_string()));
        last = Some(appended.await.position);
    }
    last.expect("at least one event")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_begins_a_new_log_and_everyone_is_told() {
    let redis = Redis::start().await;
    let (one, other) = (node(&redis.url()).await, node(&redis.url()).await);
    let (quiet, talking) = (room("quiet"), room("talking"));
    let (here, _here) = follow(&one, &talking).await;
    let (there, _there) = follow(&other, &talking).await;
    let (silent, _silent) = follow(&one, &quiet).await;
    let lost = append_many(&one, &talking, "lost", 5).await;
    append(&one, &quiet, "lost").await;
    for recorder in [&here, &there] {
        recorder.until_last("lost5").await;
    }
    silent.until_last("lost").await;

    redis.command(&["FLUSHALL"]);
    let first = append(&other, &talking, "after").await;
    assert_eq!(first.position.seq, 1);
    assert!(!append(&other, &talking, "lost1").await.duplicate, "keys went with the log");
    for recorder in [&here, &there] {
        recorder.until_last("lost1").await;
        assert_eq!(recorder.bodies(), ["after", "lost1"]);
        let to = Position { epoch: first.position.epoch.clone(), seq: 0 };
        assert_eq!(recorder.resets(), [(to, ResetReason::New)]);
    }
    let page = read(&one, &talking, ReadFrom::After(lost), 10).await;
    assert!(matches!(page.verdict, Verdict::Reset { reason: ResetReason::New, .. }));

    // Nothing is said in this room, and it is told all the same.
    let (to, reason) = silent.until_reset().await;
    assert_eq!((to.seq, reason), (0, ResetReason::New));
    append(&other, &quiet, "b").await;
    silent.until_last("b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_forks_to_the_last_true_position() {
    let mut redis = Redis::start_with(&[ALWAYS]).await;
    let (one, other) = (node(&redis.url()).await, node(&redis.url()).await);
    let room = room("restored");
    let (here, _here) = follow(&one, &room).await;
    let (there, _there) = follow(&other, &room).await;
    append_synced(&one, &room, "kept", 7).await;
    let snapshot = redis.snapshot();
    let lost = append_synced(&one, &room, "lost", 3).await;
    here.until_last("lost3").await;
    there.until_last("lost3").await;

    redis.stop().await;
    redis.restore(&snapshot);
    redis.restart().await;
    until_back(&one).await;
    until_back(&other).await;
    // The numbers 8 to 12 go to others.
    let last = append_synced(&other, &room, "again", 5).await;
    assert_eq!(last.seq, 12);
    for recorder in [&here, &there] {
        recorder.until_last("again5").await;
        let kept = (1..=7).map(|number| format!("kept{number}"));
        let again = (1..=5).map(|number| format!("again{number}"));
        assert_eq!(recorder.bodies(), kept.chain(again).collect::<Vec<_>>());
        let resets = recorder.resets();
        assert_eq!(resets.len(), 1, "{resets:?}");
        assert_eq!((resets[0].0.seq, resets[0].1), (7, ResetReason::Forked));
    }

    // A client that saw what was lost, and one that did not.
    let page = read(&one, &room, ReadFrom::After(lost.clone()), 10).await;
    let to = Position { epoch: lost.epoch.clone(), seq: 7 };
    assert_eq!(page.verdict, Verdict::Reset { to: to.clone(), reason: ResetReason::Forked });
    assert_eq!((page.events[0].position.seq, page.events.len()), (8, 5));
    assert_eq!(read(&one, &room, ReadFrom::After(to), 10).await.verdict, Verdict::Holds);
}

/// With bare numbers for generations both branches would be called 1, and the lost one would pass for true.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_snapshot_twice_is_two_branches() {
    let mut redis = Redis::start_with(&[ALWAYS]).await;
    let bus = node(&redis.url()).await;
    let room = room("branches");
    let (recorder, _following) = follow(&bus, &room).await;
    append_synced(&bus, &room, "trunk", 4).await;
    let snapshot = redis.snapshot();
    let mut lost = Vec::new();
    for branch in ["first", "second"] {
        redis.stop().await;
        redis.restore(&snapshot);
        redis.restart().await;
        until_back(&bus).await;
        lost.push(append_synced(&bus, &room, branch, 3).await);
        recorder.until_last(&format!("{branch}3")).await;
    }
    assert_eq!(lost[0].seq, lost[1].seq);
    assert_eq!(recorder.bodies(), ["trunk1", "trunk2", "trunk3", "trunk4", "second1", "second2", "second3"]);
    let resets: Vec<_> = recorder.resets().into_iter().map(|(to, reason)| (to.seq, reason)).collect();
    assert_eq!(resets, [(4, ResetReason::Forked)], "the first branch lost nothing that was seen");

    let page = read(&bus, &room, ReadFrom::After(lost[0].clone()), 10).await;
    assert_ne!(page.verdict, Verdict::Holds, "a position in the lost branch passed for true");
    let page = read(&bus, &room, ReadFrom::After(lost[1].clone()), 10).await;
    assert_eq!(page.verdict, Verdict::Holds);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_without_loss_is_only_another_generation() {
    let mut redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("generations");
    let (recorder, _following) = follow(&bus, &room).await;
    let mut before = append(&bus, &room, "m0").await.position;
    for turn in 1..=3 {
        redis.stop().await;
        redis.restart().await;
        until_back(&bus).await;
        let appended = append_synced(&bus, &room, &format!("m{turn}-"), 1).await;
        assert_eq!(appended.seq, before.seq + 1);
        assert_ne!(appended.epoch, before.epoch, "another server, but the same generation");
        let page = read(&bus, &room, ReadFrom::After(before), 10).await;
        assert_eq!((page.verdict, page.events.len()), (Verdict::Holds, 1));
        before = appended;
    }
    recorder.until_last("m3-1").await;
    assert_eq!(recorder.resets(), []);
    assert_eq!(recorder.events().len(), 4);
}

/// It is the same process all the time, which knows by heart which server it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_a_replica_meanwhile_is_another_server() {
    for loses in [false, true] {
        const AT_ONCE: &str = "repl-diskless-sync-delay 0";
        let (here, there) = (Redis::start_with(&[AT_ONCE]).await, Redis::start_with(&[AT_ONCE]).await);
        let bus = node(&here.url()).await;
        let room = room("in-between");
        append(&bus, &room, "kept1").await;
        make_replica(&there, &here).await;
        let kept = append(&bus, &room, "kept2").await.position;
        // Or the node's heartbeat comes in between, and is lost.
        here.command(&["CLIENT", "PAUSE", "60000", "WRITE"]);
        until_level(&there, &here).await;
        there.command(&["REPLICAOF", "NO", "ONE"]);
        if loses {
            here.command(&["CLIENT", "UNPAUSE"]);
        }
        let last = if loses { append(&bus, &room, "lost").await.position } else { kept.clone() };
        let whole_copies = || number(&there, "stats", "sync_full");
        let before = whole_copies();
        make_replica(&here, &there).await;
        assert_eq!(whole_copies() > before, loses, "it was not the other's history");
        here.command(&["CLIENT", "UNPAUSE"]);
        here.command(&["REPLICAOF", "NO", "ONE"]);
        let after = until("a primary again", async || {
            bus.append(&room, message("after")).await.map_err(|error| error.to_string())
        });
        let after = after.await.position;
        assert_eq!(after.seq, kept.seq + 1);
        assert_ne!(after.epoch, kept.epoch, "another server, but the same generation");
        let verdict = read(&bus, &room, ReadFrom::After(last), 10).await.verdict;
        let forked = Verdict::Reset { to: kept, reason: ResetReason::Forked };
        assert_eq!(verdict, if loses { forked } else { Verdict::Holds });
    }
}

fn number(redis: &Redis, section: &str, name: &str) -> u64 {
    redis.info(section, name).parse().expect("a number")
}

async fn make_replica(replica: &Redis, primary: &Redis) {
    replica.command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    until_level(replica, primary).await;
}

async fn until_level(replica: &Redis, primary: &Redis) {
    let offset = |redis: &Redis| number(redis, "replication", "master_repl_offset");
    until("a replica that has everything", async || match replica.text(&["INFO", "replication"]) {
        info if !info.contains("master_link_status:up") => Err(info),
        _ if offset(replica) < offset(primary) => Err("it lags behind".to_owned()),
        _ => Ok(()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_their_heads_expire() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let busy = room("expiring");
    append_many(&bus, &busy, "m", 3).await;
    let life = |room: &RoomName, what: &str| redis.number(&["PTTL", &format!("{{chat:{room}}}:{what}")]);
    let (log, ids, head) = (life(&busy, "log"), life(&busy, "ids"), life(&busy, "head"));
    assert!((3_600_000..=5_400_000).contains(&log), "{log}");
    assert!((600_000..=900_000).contains(&ids), "{ids}");
    let day = 24 * 60 * 60 * 1000;
    assert!((30 * day..=45 * day).contains(&head), "{head}");

    bus.close().await;
}
