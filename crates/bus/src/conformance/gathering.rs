//! What is kept beside the logs: who is there, read markers, mutes, sanctions, sessions, rates, nodes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::{Epoch, Position, RoomName, UserId};

use super::{Nodes, append_many, follow, room, unique, until};
use crate::{Bus, Marked, Mute, Notice, PresenceUpdate, RoomState, Sanction, Sanctions, Told};

const MOST: u64 = 3;

pub(super) async fn check(nodes: &Nodes<'_>) {
    a_user_is_there_once_however_often(nodes).await;
    above_the_size_there_is_only_a_number(nodes).await;
    a_crowd_hears_its_number_once_in_a_while_and_the_last_one_always(nodes).await;
    the_larger_a_crowd_the_more_rarely_it_hears_its_number(nodes).await;
    markers_never_go_back(nodes).await;
    mutes_and_sanctions_end(nodes).await;
    sessions_are_counted_over_all_nodes(nodes).await;
    a_rate_is_one_for_all_nodes(nodes).await;
    rooms_are_listed(nodes).await;
    whoever_comes_by_a_node_that_ends_is_gone(nodes).await;
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a user's name")
}

fn member(name: &str) -> (UserId, Bytes) {
    (user(name), format!(r#"{{"user":"{name}"}}"#).into())
}

fn changes(joined: &[&str], left: &[&str]) -> PresenceUpdate {
    PresenceUpdate {
        joined: joined.iter().map(|name| member(name)).collect(),
        left: left.iter().map(|name| user(name)).collect(),
        most: MOST,
        ..PresenceUpdate::default()
    }
}

async fn tell(bus: &dyn Bus, room: &RoomName, joined: &[&str], left: &[&str], whole: bool) {
    let update = PresenceUpdate { whole, ..changes(joined, left) };
    bus.tell_presence(room, &update).await.expect("presence");
}

async fn state(bus: &dyn Bus, room: &RoomName) -> RoomState {
    bus.room_state(room, MOST, 1_000).await.expect("a state")
}

fn names(state: &RoomState) -> Vec<String> {
    let mut names: Vec<_> =
        state.members.iter().flatten().map(|(user, _)| user.as_str().to_owned()).collect();
    names.sort_unstable();
    names
}

async fn a_user_is_there_once_however_often(nodes: &Nodes<'_>) {
    let room = room("present");
    let (recorder, _following) = follow(&*nodes.other, &room).await;
    tell(&*nodes.one, &room, &["alice", "bob"], &[], false).await;
    tell(&*nodes.other, &room, &["alice"], &[], false).await;
    tell(&*nodes.one, &room, &[], &["alice"], false).await;
    tell(&*nodes.one, &room, &["bob"], &["nobody"], false).await;
    assert_eq!(names(&state(&*nodes.one, &room).await), ["alice", "bob"], "alice is there by the other node");
    // A node that says all that it has: alice was never there by it, and bob is there no more.
    tell(&*nodes.one, &room, &["carol"], &[], true).await;
    tell(&*nodes.other, &room, &[], &["alice"], false).await;
    let now = state(&*nodes.other, &room).await;
    assert_eq!((names(&now), now.count, now.version), (vec!["carol".to_owned()], 1, 3));
    let frames = until("three changes", async || {
        let frames = recorder.presence();
        if frames.len() == 3 { Ok(frames) } else { Err(format!("{frames:?}")) }
    })
    .await;
    let frame = |lists: &str| format!(r#"{{"type":"presence","room":"{room}",{lists}}}"#);
    let expected = [
        r#""joined":[{"user":"alice"},{"user":"bob"}],"left":[],"count":2"#,
        r#""joined":[{"user":"carol"}],"left":[{"user":"bob"}],"count":2"#,
        r#""joined":[],"left":[{"user":"alice"}],"count":1"#,
    ];
    for ((number, lists), (version, seen)) in (1..).zip(expected).zip(frames) {
        assert_eq!((version, seen), (number, Bytes::from(frame(lists))));
    }
}

async fn above_the_size_there_is_only_a_number(nodes: &Nodes<'_>) {
    let room = room("crowd");
    let (recorder, _following) = follow(&*nodes.one, &room).await;
    tell(&*nodes.one, &room, &["a", "b", "c"], &[], false).await;
    assert_eq!(names(&state(&*nodes.other, &room).await), ["a", "b", "c"]);
    tell(&*nodes.other, &room, &["d"], &[], false).await;
    let crowded = state(&*nodes.other, &room).await;
    assert_eq!((crowded.count, crowded.members), (4, None));
    tell(&*nodes.one, &room, &[], &["a", "b"], false).await;
    let frames = until("three changes", async || {
        let frames = recorder.presence();
        if frames.len() == 3 { Ok(frames) } else { Err(format!("{frames:?}")) }
    })
    .await;
    let text = |index: usize| String::from_utf8_lossy(&frames[index].1).into_owned();
    assert_eq!(text(1), format!(r#"{{"type":"presence","room":"{room}","count":4}}"#));
    assert!(text(2).contains(r#""left":[{"user":"a"},{"user":"b"}],"count":2"#), "{}", text(2));
}

async fn a_crowd_hears_its_number_once_in_a_while_and_the_last_one_always(nodes: &Nodes<'_>) {
    const LONG: Duration = Duration::from_mins(10);
    let room = room("large-crowd");
    let (recorder, _following) = follow(&*nodes.one, &room).await;
    let say = async |bus: &dyn Bus, joined: &[&str], left: &[&str], pause| {
        let update = PresenceUpdate { pause, ..changes(joined, left) };
        bus.tell_presence(&room, &update).await.expect("presence")
    };
    assert_eq!(say(&*nodes.one, &["a", "b", "c", "d"], &[], LONG).await, Told::All);
    assert_eq!(say(&*nodes.one, &["a"], &[], LONG).await, Told::All, "nothing has changed");
    let withheld = Told::Withheld { version: 2, count: 5 };
    assert_eq!(say(&*nodes.other, &["e"], &[], LONG).await, withheld);
    assert_eq!(state(&*nodes.one, &room).await.count, 5, "whoever asks is told");
    // Whoever told it may not have heard the answer, or is gone: it is owed by all.
    assert_eq!(say(&*nodes.other, &["e"], &[], LONG).await, withheld);
    assert_eq!(say(&*nodes.one, &[], &[], LONG).await, withheld);
    // Few enough are always told of. Who has not heard of what was withheld sees by the version that there was more.
    assert_eq!(say(&*nodes.one, &[], &["a", "b"], LONG).await, Told::All);
    assert_eq!(say(&*nodes.other, &[], &[], LONG).await, Told::All);
    let withheld = Told::Withheld { version: 4, count: 5 };
    assert_eq!(say(&*nodes.one, &["f", "g"], &[], LONG).await, withheld);
    assert_eq!(say(&*nodes.other, &[], &[], Duration::ZERO).await, Told::All, "the pause is over");
    assert_eq!(say(&*nodes.one, &[], &[], Duration::ZERO).await, Told::All, "somebody has told it");
    let frames = until("what is told", async || {
        let frames = recorder.presence();
        if frames.len() == 3 { Ok(frames) } else { Err(format!("{frames:?}")) }
    })
    .await;
    let frame = |lists: &str| Bytes::from(format!(r#"{{"type":"presence","room":"{room}",{lists}}}"#));
    let left = frame(r#""joined":[],"left":[{"user":"a"},{"user":"b"}],"count":3"#);
    assert_eq!(frames, [(1, frame(r#""count":4"#)), (3, left), (5, frame(r#""count":5"#))]);
}

async fn the_larger_a_crowd_the_more_rarely_it_hears_its_number(nodes: &Nodes<'_>) {
    const PAUSE: Duration = Duration::from_millis(150);
    let room = room("huge-crowd");
    let names: Vec<String> = (0..40_000).map(|number| format!("u{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let began = Instant::now();
    let say = async |bus: &dyn Bus, joined: &[&str]| {
        let update = PresenceUpdate { pause: PAUSE, ..changes(joined, &[]) };
        bus.tell_presence(&room, &update).await.expect("presence")
    };
    assert_eq!(say(&*nodes.one, &names).await, Told::All);
    until("a crowd to be told", async || match say(&*nodes.other, &["late"]).await {
        Told::All => Ok(()),
        Told::Withheld { .. } => Err("not yet".to_owned()),
    })
    .await;
    // A millisecond, for Redis' clock has no parts of one.
    assert!(began.elapsed() + Duration::from_millis(1) >= 2 * PAUSE, "{:?}", began.elapsed());
}

async fn markers_never_go_back(nodes: &Nodes<'_>) {
    let room = room("read");
    let head = append_many(&*nodes.one, &room, "m", 5).await;
    let at = |seq| Position { epoch: head.epoch.clone(), seq };
    let mark = async |bus: &dyn Bus, name: &str, place: Position| {
        bus.mark_read(&room, &[(user(name), place)], true).await.expect("a marker")[0]
    };
    assert_eq!(mark(&*nodes.one, "alice", at(3)).await, Marked::Moved);
    assert_eq!(mark(&*nodes.other, "alice", at(2)).await, Marked::Behind);
    assert_eq!(mark(&*nodes.other, "alice", at(3)).await, Marked::Behind);
    assert_eq!(mark(&*nodes.other, "alice", at(6)).await, Marked::Gone);
    let strange = Position { epoch: Epoch::parse("never.0").expect("an epoch"), seq: 4 };
    assert_eq!(mark(&*nodes.other, "alice", strange).await, Marked::Gone);
    let both = [(user("alice"), at(5)), (user("bob"), at(1))];
    assert_eq!(nodes.one.mark_read(&room, &both, false).await.expect("markers"), [Marked::Moved; 2]);
    let mut markers = state(&*nodes.other, &room).await.markers;
    markers.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(markers, both);
    let unused = super::room("unread");
    assert_eq!(state(&*nodes.one, &unused).await.members, Some(Vec::new()), "nobody, which is known");
    assert_eq!(nodes.one.mark_read(&unused, &both[..1], true).await.expect("an answer"), [Marked::Gone]);
}

async fn mutes_and_sanctions_end(nodes: &Nodes<'_>) {
    let room = room("muted");
    let mute = |until_ms| Mute { until_ms, reason: "too loud, twice".to_owned() };
    let muted_at = async |now_ms| nodes.other.room_state(&room, MOST, now_ms).await.expect("a state").mutes;
    nodes.one.set_mute(&room, &user("alice"), Some(&mute(60_000)), 1_000).await.expect("a mute");
    assert_eq!(muted_at(1_000).await, [(user("alice"), mute(60_000))]);
    assert_eq!(muted_at(60_000).await, [], "it is over");
    nodes.one.set_mute(&room, &user("bob"), Some(&mute(500_000)), 60_000).await.expect("one more");
    assert_eq!(muted_at(1_000).await, [(user("bob"), mute(500_000))], "what is over is forgotten");
    nodes.other.set_mute(&room, &user("bob"), None, 60_000).await.expect("an answer");
    assert!(state(&*nodes.one, &room).await.mutes.is_empty());

    let who = user(&format!("banned-{}", nodes.one.node().as_str().replace('~', "-")));
    let (value, other) = (&b"spam \0 and more"[..], &b"17"[..]);
    nodes.one.set_sanction(&who, Sanction::Ban, Some((value, 500_000)), 1_000).await.expect("a ban");
    nodes.one.set_sanction(&who, Sanction::Revocation, Some((other, 60_000)), 1_000).await.expect("one more");
    let both = nodes.other.sanctions(&who, 1_000).await.expect("sanctions");
    assert_eq!((both.ban.as_deref(), both.revocation.as_deref()), (Some(value), Some(other)));
    let later = nodes.other.sanctions(&who, 60_000).await.expect("sanctions");
    assert_eq!((later.ban.is_some(), later.revocation), (true, None));
    nodes.other.set_sanction(&who, Sanction::Ban, None, 1_000).await.expect("an answer");
    assert_eq!(nodes.one.sanctions(&who, 1_000).await.expect("sanctions").ban, None);
    assert_eq!(nodes.one.sanctions(&user("innocent"), 0).await.expect("sanctions"), Sanctions::default());
}

async fn sessions_are_counted_over_all_nodes(nodes: &Nodes<'_>) {
    let who = user(&format!("busy-{}", nodes.one.node().as_str().replace('~', "-")));
    let claim = async |bus: &dyn Bus, own| bus.claim_sessions(&who, own, 3).await.expect("an answer");
    assert!(claim(&*nodes.one, 1).await);
    assert!(claim(&*nodes.one, 2).await);
    assert!(claim(&*nodes.other, 1).await);
    assert!(!claim(&*nodes.other, 2).await, "the fourth");
    assert!(!claim(&*nodes.one, 3).await, "the fourth");
    assert!(claim(&*nodes.one, 1).await);
    assert!(claim(&*nodes.other, 2).await);
    assert!(nodes.one.claim_sessions(&who, 9, 0).await.expect("an answer"), "no limit");
    assert!(claim(&*nodes.one, 0).await && claim(&*nodes.other, 0).await);
}

async fn a_rate_is_one_for_all_nodes(nodes: &Nodes<'_>) {
    let scope = format!("check-{}-{}", nodes.one.node(), unique());
    let take = async |bus: &dyn Bus| bus.take_rate(&scope, 1, 3).await.expect("an answer");
    for bus in [&nodes.one, &nodes.other, &nodes.one] {
        assert_eq!(take(&**bus).await, None);
    }
    let wait = take(&*nodes.other).await.expect("the bucket is empty");
    assert!(wait.as_millis() <= 1_000, "{wait:?}");
    assert_eq!(nodes.other.take_rate(&format!("{scope}-x"), 1, 1).await.expect("an answer"), None);
}

async fn rooms_are_listed(nodes: &Nodes<'_>) {
    let room = room("listed");
    let head = append_many(&*nodes.one, &room, "m", 2).await;
    tell(&*nodes.one, &room, &["alice"], &[], false).await;
    let (mut after, mut found) = (None, None);
    loop {
        let page = nodes.other.rooms(after.as_deref(), 10).await.expect("a page");
        found = found.or(page.rooms.into_iter().find(|info| info.name == room));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let found = found.expect("the room is among all rooms");
    assert_eq!((found.head, found.count), (head, 1));
    assert!(nodes.one.rooms(Some("~nonsense~"), 10).await.is_err());
}

async fn whoever_comes_by_a_node_that_ends_is_gone(nodes: &Nodes<'_>) {
    let room = room("ended");
    let third = nodes.cluster.node().await;
    third.describe(Bytes::from_static(br#"{"of":"itself"}"#));
    tell(&*nodes.one, &room, &["alice"], &[], false).await;
    tell(&*third, &room, &["alice", "bob"], &[], false).await;
    let id = third.node().to_string();
    until("the node to be listed with what it says", async || {
        let all = nodes.one.nodes().await.map_err(|error| error.to_string())?;
        let it = all.iter().find(|node| node.id == id);
        if it.is_some_and(|it| it.status == br#"{"of":"itself"}"#[..]) {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    })
    .await;
    let mut notices = nodes.one.notices();
    third.close().await;
    until("the others to be told", async || match notices.try_recv() {
        Ok(Notice::Gone(gone)) if gone.contains(&id) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(nodes.other.nodes().await.expect("nodes").iter().all(|node| node.id != id));
    let update = PresenceUpdate { gone: vec![id], most: MOST, ..PresenceUpdate::default() };
    nodes.one.tell_presence(&room, &update).await.expect("presence");
    assert_eq!(names(&state(&*nodes.other, &room).await), ["alice"]);
}
