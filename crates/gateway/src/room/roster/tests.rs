//! What is read and what is heard come in any order.

use proto::Epoch;

use super::*;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn lobby() -> RoomName {
    RoomName::parse("lobby").unwrap()
}

fn member(name: &str) -> Bytes {
    format!(r#"{{"user":"{name}"}}"#).into()
}

fn read(version: u64, users: &[&str]) -> RoomState {
    let members: Vec<_> = users.iter().map(|name| (user(name), member(name))).collect();
    RoomState { version, count: members.len() as u64, members: Some(members), ..RoomState::default() }
}

fn frame(joined: &[&str], left: &[&str], count: u64) -> String {
    let list = |names: &[&str]| {
        names.iter().map(|name| format!(r#"{{"user":"{name}"}}"#)).collect::<Vec<_>>().join(",")
    };
    let (joined, left) = (list(joined), list(left));
    format!(r#"{{"type":"presence","room":"lobby","joined":[{joined}],"left":[{left}],"count":{count}}}"#)
}

fn moved(epoch: &str, seq: u64) -> ReadMarkers {
    let epoch = Epoch::parse(epoch).unwrap();
    let marker = proto::server::Marker { user: user("alice"), epoch, seq };
    ReadMarkers { room: lobby(), markers: vec![marker] }
}

/// What there is to tell; nothing when whoever tells may go.
fn changes(roster: &Roster) -> Option<PresenceUpdate> {
    match roster.take_changes(PresenceUpdate::default(), Duration::ZERO) {
        Changes::None => None,
        Changes::Later => panic!("nobody needs patience"),
        Changes::Now { update, .. } => Some(update),
    }
}

/// Who is there, to whoever asks.
fn there(roster: &Roster) -> String {
    roster.company(100, None).members.unwrap().get().to_owned()
}

#[test]
fn what_was_heard_while_it_was_read_is_not_forgotten() {
    let roster = Roster::default();
    roster.begin_reading();
    roster.load(&lobby(), read(3, &["alice"]), drop);
    roster.begin_reading();
    let mute = Mute { until_ms: 10, reason: String::new() };
    roster.set_mute(&user("alice"), Some(mute.clone()));
    roster.hear_markers(moved("a.0-x", 7), |_| {});
    // What was read is from before.
    let mut old = read(3, &["alice"]);
    old.markers = vec![(user("alice"), Position { epoch: Epoch::parse("a.0-x").unwrap(), seq: 5 })];
    roster.load(&lobby(), old, drop);
    assert_eq!(roster.mute(&user("alice"), 0), Some(mute));
    assert!(roster.markers(100).unwrap().get().contains(r#""seq":7"#), "{:?}", roster.markers(100));
}

#[test]
fn nobody_goes_back_to_what_was_read_before_it_was_heard() {
    let roster = Roster::default();
    roster.begin_reading();
    roster.load(&lobby(), read(3, &["alice"]), drop);
    assert!(roster.lose_way());
    roster.begin_reading();
    assert_eq!(roster.hear(4, frame(&["bob"], &[], 2).as_bytes(), || {}), Heard::Next);
    let mut told = Vec::new();
    roster.load(&lobby(), read(3, &["alice"]), |frame| told.push(frame));
    assert!(told.is_empty(), "bob never left: {told:?}");
    assert!(there(&roster).contains("bob"));
    assert!(roster.has_found_way());
}

#[test]
fn versions_that_begin_again_are_no_reason_to_read_for_ever() {
    let roster = Roster::default();
    roster.load(&lobby(), read(50, &["alice"]), drop);
    roster.hear(51, frame(&["bob"], &[], 2).as_bytes(), || {});
    assert!(roster.lose_way());
    roster.begin_reading();
    // Redis has come back with what it held some time ago, and nobody has anything to add.
    roster.load(&lobby(), read(30, &["alice", "bob"]), drop);
    assert!(roster.has_found_way());
}

#[test]
fn who_is_taken_for_gone_is_told_of_again() {
    let roster = Roster::default();
    roster.load(&lobby(), read(0, &[]), drop);
    assert_eq!(roster.enter(&user("alice"), 0, || member("alice")), Entry::ToBeTold);
    roster.told(changes(&roster).expect("alice came"), Some(Told::All));
    assert!(changes(&roster).is_none());
    roster.hear(1, frame(&["alice"], &[], 1).as_bytes(), || {});
    assert!(!roster.is_contradicted());
    // Another node took this one for dead, and said so after this one was back.
    roster.hear(2, frame(&[], &["alice"], 0).as_bytes(), || {});
    assert!(roster.is_contradicted(), "somebody is to be sent");
    let update = changes(&roster).expect("alice is here");
    assert_eq!(update.joined, [(user("alice"), member("alice"))]);
    roster.told(update, Some(Told::All));
    assert!(changes(&roster).is_none());
    // The same by what was read.
    roster.begin_reading();
    roster.load(&lobby(), read(9, &["bob"]), drop);
    assert!(roster.is_contradicted());
}

#[test]
fn whoever_stayed_behind_is_told_who_is_there_and_who_went() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &["alice", "bob", "carol"]), drop);
    roster.hear(2, frame(&[], &["bob", "carol"], 1).as_bytes(), || {});
    roster.hear(3, frame(&["carol"], &[], 2).as_bytes(), || {});
    roster.hear_markers(moved("a.0-x", 7), |_| {});
    let news: Vec<_> =
        roster.news(&lobby()).iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
    assert_eq!(news[0], frame(&["alice", "carol"], &["bob"], 2));
    assert!(news[1].contains(r#""seq":7"#), "{news:?}");
}

/// A room where people come and go used to hold the last thousand of them for as long as it was there.
#[test]
fn who_went_a_while_ago_is_forgotten_once_all_have_heard_of_it() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &["alice", "bob"]), drop);
    let before = Instant::now();
    roster.hear(2, frame(&[], &["bob"], 1).as_bytes(), || {});
    let news = || String::from_utf8(roster.news(&lobby())[0].to_vec()).unwrap();
    roster.forget_departed(before + Duration::from_secs(59));
    assert_eq!(news(), frame(&["alice"], &["bob"], 1), "whoever is about to join may take bob for there");
    roster.forget_departed(Instant::now() + Duration::from_mins(1));
    assert_eq!(news(), frame(&["alice"], &[], 1));
}

#[test]
fn a_marker_is_one_in_a_log_whatever_server_goes_on_with_it() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &["alice"]), drop);
    let mut told = 0;
    roster.hear_markers(moved("a.1-y", 7), |_| told += 1);
    roster.hear_markers(moved("a.0-x", 6), |_| told += 1);
    assert_eq!(told, 1, "it would go back");
    roster.hear_markers(moved("b.0-z", 1), |_| told += 1);
    assert_eq!(told, 2, "another log");
}

#[test]
fn markers_are_no_more_than_fit_in_a_frame() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &["alice"]), drop);
    for seq in 1..=400 {
        let epoch = Epoch::parse("a.0-x").unwrap();
        let marker = proto::server::Marker { user: user(&format!("reader-{seq}")), epoch, seq };
        roster.hear_markers(ReadMarkers { room: lobby(), markers: vec![marker] }, |_| ());
    }
    let markers = roster.markers(1000).unwrap().get().to_owned();
    assert_eq!(markers.matches("reader-").count(), 300);
    assert!(markers.contains("reader-400") && !markers.contains("reader-100\""), "those that are furthest");
}

#[test]
fn whoever_comes_and_goes_is_one_change() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &[]), drop);
    for _ in 0..1000 {
        enter(&roster, "alice", 0);
        roster.leave(&user("alice"));
    }
    assert_eq!(roster.state.lock().changed.len(), 1);
    enter(&roster, "alice", 0);
    assert_eq!(changes(&roster).expect("alice came").joined.len(), 1);
    roster.leave(&user("alice"));
    assert_eq!(changes(&roster).expect("alice went").left.len(), 1);
}

/// Of a room where the bus knows of alice and bob.
fn two(told: bool) -> Roster {
    let roster = Roster::default();
    let both = read(1, &["alice", "bob"]);
    let members = both.members.clone().filter(|_| told);
    roster.load(&lobby(), RoomState { members, ..both }, drop);
    roster
}

fn enter(roster: &Roster, name: &str, most: u64) -> Entry {
    roster.enter(&user(name), most, || member(name))
}

#[test]
fn a_place_is_taken_by_those_of_whom_the_bus_has_yet_to_hear() {
    for told in [true, false] {
        let roster = two(told);
        assert_eq!(enter(&roster, "carol", 3), Entry::ToBeTold, "{told}");
        assert_eq!(enter(&roster, "dave", 3), Entry::Full, "two by other nodes and one by this: {told}");
        assert_eq!(enter(&roster, "carol", 3), Entry::Done, "who is there may come again: {told}");
        assert_eq!(enter(&roster, "dave", 0), Entry::Done, "no limit: {told}");
    }
}

#[test]
fn who_is_there_by_another_node_may_come_by_this_one_too() {
    assert_eq!(enter(&two(true), "bob", 2), Entry::ToBeTold);
    // Where it is not told who they are, nobody here knows.
    assert_eq!(enter(&two(false), "bob", 2), Entry::Full);
}

#[test]
fn who_has_left_needs_a_place_again() {
    let roster = two(true);
    assert_eq!(enter(&roster, "carol", 3), Entry::ToBeTold);
    roster.leave(&user("carol"));
    assert_eq!(enter(&roster, "dave", 3), Entry::Done, "carol's place");
    assert_eq!(enter(&roster, "carol", 3), Entry::Full);
}

#[test]
fn what_the_bus_withheld_is_asked_for_until_all_is_told() {
    let roster = two(false);
    enter(&roster, "carol", 0);
    let update = changes(&roster).expect("carol came");
    roster.told(update, Some(Told::Withheld { version: 2, count: 3 }));
    assert_eq!(roster.company(1, None).count, 3, "the bus has said so");
    assert_eq!(enter(&roster, "dave", 3), Entry::Full);
    for told in [None, Some(Told::Withheld { version: 4, count: 5 }), Some(Told::All)] {
        let update = changes(&roster).expect("it is owed");
        assert!(update.joined.is_empty(), "{update:?}");
        roster.told(update, told);
    }
    assert!(changes(&roster).is_none());

    // What another node has told meanwhile is newer.
    enter(&roster, "erin", 0);
    let update = changes(&roster).expect("erin came");
    let number = r#"{"type":"presence","room":"lobby","count":7}"#;
    assert_eq!(roster.hear(6, number.as_bytes(), || {}), Heard::Next);
    roster.told(update, Some(Told::Withheld { version: 5, count: 6 }));
    assert_eq!(roster.company(1, None).count, 7);
    roster.told(changes(&roster).expect("the bus knows what is owed, and nobody else"), Some(Told::All));
    assert!(changes(&roster).is_none());
    assert!(roster.owe(), "somebody is to be sent");
    assert!(changes(&roster).is_some());
}

#[test]
fn what_is_read_of_a_crowd_may_be_newer_than_what_was_told() {
    let roster = two(false);
    roster.begin_reading();
    let number = r#"{"type":"presence","room":"lobby","count":7}"#;
    assert_eq!(roster.hear(2, number.as_bytes(), || {}), Heard::Next);
    let mut told = 0;
    roster.load(&lobby(), RoomState { version: 3, count: 8, ..RoomState::default() }, |_| told += 1);
    assert_eq!((roster.company(1, None).count, told), (8, 1));
}

#[test]
fn a_number_can_be_followed_from_anywhere_and_a_list_only_from_the_one_before() {
    let roster = Roster::default();
    roster.load(&lobby(), read(1, &["alice"]), drop);
    let hear = |version, frame: &str| {
        let mut told = false;
        (roster.hear(version, frame.as_bytes(), || told = true), told)
    };
    let number = r#"{"type":"presence","room":"lobby","count":300}"#;
    assert_eq!(hear(5, number), (Heard::Next, true), "there is no list any more");
    assert_eq!(hear(9, number), (Heard::Next, true));
    assert_eq!(hear(10, &frame(&[], &["bob"], 1)), (Heard::Astray, false), "who is left has to be read");
    roster.begin_reading();
    roster.load(&lobby(), read(10, &["alice"]), drop);
    assert!(roster.has_found_way());
    assert_eq!(hear(12, &frame(&["carol"], &[], 3)), (Heard::Astray, false), "one is missing");
}
