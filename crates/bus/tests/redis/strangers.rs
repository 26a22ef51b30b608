//! Somebody else writes where the log is, and publishes where it is heard.

use bus::{
    Bus, ReadFrom,
    conformance::{append, follow, read, room},
};
use proto::{RoomName, server::ResetReason};
use testkit::Redis;

use super::node;

/// Puts events into a log as the append script does, but publishes none of them: every subscriber has lost them.
fn append_in_silence(redis: &Redis, room: &RoomName, what: &str, count: u32) {
    const SCRIPT: &str = r"
        local seq, generation = unpack(redis.call('HMGET', KEYS[1], 's', 'g'))
        for i = 1, ARGV[2] do
            redis.call('XADD', KEYS[2], 'MAXLEN', '~', 200, (seq + i) .. '-0', generation, '\1\0' .. ARGV[1] .. i)
        end
        return redis.call('HSET', KEYS[1], 's', seq + ARGV[2])";
    let key = |name: &str| format!("{{chat:{room}}}:{name}");
    redis.command(&["EVAL", SCRIPT, "2", &key("head"), &key("log"), what, &count.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_after_a_loss_is_found() {
    let redis = Redis::start().await;
    let (bus, other) = (node(&redis.url()).await, node(&redis.url()).await);
    let room = room("silent");
    let (here, _here) = follow(&bus, &room).await;
    let (there, _there) = follow(&other, &room).await;
    append(&bus, &room, "before").await;
    for turn in 1..=3 {
        append_in_silence(&redis, &room, &format!("silent{turn}-"), 2);
        for recorder in [&here, &there] {
            recorder.until_last(&format!("silent{turn}-2")).await;
            assert_eq!(recorder.events().len(), 1 + 2 * turn);
            assert_eq!(recorder.resets(), []);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_filled_before_anything_later() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("hole");
    let (recorder, _following) = follow(&bus, &room).await;
    let mut expected = 0;
    for turn in 0..50 {
        append_in_silence(&redis, &room, &format!("lost{turn}-"), 10);
        append(&bus, &room, &format!("heard{turn}")).await;
        expected += 11;
    }
    recorder.until_last("heard49").await;
    assert_eq!(recorder.events().len(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_behind_the_log_is_told() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("behind");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&bus, &room, "seen").await;
    recorder.until_last("seen").await;
    append_in_silence(&redis, &room, "m", 900);
    recorder.until_last("m900").await;
    let (to, reason) = recorder.until_reset().await;
    assert_eq!(reason, ResetReason::Trimmed);
    assert_eq!(recorder.events().len() as u64, 1 + 901 - to.seq, "what the log still held came");
    assert_eq!(read(&bus, &room, ReadFrom::Newest, 1).await.first, to.seq + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_publish_harms_nothing() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("strangers");
    let (recorder, _following) = follow(&bus, &room).await;
    let position = append(&bus, &room, "a").await.position;
    recorder.until_last("a").await;
    let channel = format!("chat:{room}");
    let epoch = position.epoch.as_str();
    let far = format!("\u{1}e{epoch} 9007199254740991\n\u{1}\u{0}far");
    let other_log = "\u{1}eother.0-00000000 2\n\u{1}\u{0}other".to_owned();
    let other_generation = format!("\u{1}e{epoch}9 2\n\u{1}\u{0}generation");
    let again = format!("\u{1}e{epoch} 1\n\u{1}\u{0}again");
    let long_epoch = format!("\u{1}e{} 2\n\u{1}\u{0}long", "e".repeat(65));
    for turn in 0..20 {
        for payload in [
            "",
            "\u{1}",
            "\u{1}e",
            "hello",
            "\u{2}t{}",
            "\u{1}p1",
            "\u{1}eb 2\n",
            "\u{1}eb 2\n\u{1}",
            &far,
            &other_log,
            &other_generation,
            &again,
            &long_epoch,
        ] {
            redis.command(&["PUBLISH", &channel, payload]);
        }
        redis.command(&["PUBLISH", "chat:~control", "\u{1}e"]);
        redis.command(&["PUBLISH", &format!("chat:~node:{}", bus.node()), "\u{1}p999999"]);
        append(&bus, &room, &format!("b{turn}")).await;
        recorder.until_last(&format!("b{turn}")).await;
    }
    assert_eq!(recorder.events().len(), 21);
    assert_eq!(recorder.resets(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_do_to_a_log_is_survived() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let room = room("broken");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&bus, &room, "a").await;
    recorder.until_last("a").await;
    let log = format!("{{chat:{room}}}:log");

    // A hole in the log itself can't be filled, but is told.
    append_in_silence(&redis, &room, "gone", 3);
    redis.command(&["XDEL", &log, "3-0"]);
    append(&bus, &room, "b").await;
    recorder.until_last("b").await;

    // The log is gone, the head is not.
    redis.command(&["DEL", &log]);
    assert_eq!(append(&bus, &room, "c").await.position.seq, 6);
    recorder.until_last("c").await;
    let page = read(&bus, &room, ReadFrom::AfterSeq(0), 10).await;
    assert_eq!((page.first, page.events.len()), (6, 1));

    // Another thing stands under the head's name: no append is said to have worked.
    let head = format!("{{chat:{room}}}:head");
    redis.command(&["DEL", &head]);
    redis.command(&["SET", &head, "nonsense"]);
    assert!(bus.append(&room, bus::conformance::message("d")).await.is_err());
    assert!(bus.head(&room).await.is_err());
    redis.command(&["DEL", &head]);
    append(&bus, &room, "e").await;
    recorder.until_last("e").await;
    assert_eq!(recorder.until_reset().await.1, ResetReason::New);
}

/// The heads of all rooms are compared in one go, and one that could not be read must not hide the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_room_harms_no_other() {
    let redis = Redis::start().await;
    let bus = node(&redis.url()).await;
    let (broken, sound) = (room("broken"), room("sound"));
    let (_recorder, _broken) = follow(&bus, &broken).await;
    let (recorder, _sound) = follow(&bus, &sound).await;
    append(&bus, &sound, "before").await;
    let head = format!("{{chat:{broken}}}:head");
    redis.command(&["DEL", &head]);
    redis.command(&["SET", &head, "nonsense"]);
    for turn in 0..3 {
        redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        append_in_silence(&redis, &sound, &format!("silent{turn}-"), 2);
        recorder.until_last(&format!("silent{turn}-2")).await;
    }
}

/// A reader that is too slow for Redis is cut off, and what it missed is gone from the channel.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_cut_off_reads_on_from_the_log() {
    let redis = Redis::start_with(&["client-output-buffer-limit pubsub 64kb 32kb 1"]).await;
    let (bus, writer) = (node(&redis.url()).await, node(&redis.url()).await);
    let room = room("cut");
    let (recorder, _following) = follow(&bus, &room).await;
    append(&writer, &room, "before").await;
    recorder.until_last("before").await;
    // One event larger than the whole buffer: nobody gets it over the channel.
    let mut large = bus::conformance::message("large");
    large.body = vec![b'x'; 200 * 1024].into();
    writer.append(&room, large).await.expect("an append");
    recorder.until("the large event", |bodies| bodies.len() == 2).await;
    append(&writer, &room, "after").await;
    recorder.until_last("after").await;
    assert_eq!(recorder.resets(), []);
}
