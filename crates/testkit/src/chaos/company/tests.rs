//! What is planted must be found.

use super::*;

fn history(user: &str, whats: Vec<(u64, What)>) -> History {
    let entries = whats.into_iter().map(|(at, what)| Entry { at, what }).collect();
    History { user: user.into(), entries }
}

fn joined() -> What {
    let place = Place { epoch: "a.0".into(), seq: 0 };
    What::Joined { room: "lobby".into(), place, since: None, recovered: false }
}

fn moved(joined: &[&str], left: &[&str]) -> What {
    let names = |users: &[&str]| users.iter().map(|user| Arc::from(*user)).collect();
    What::Moved { room: "lobby".into(), joined: names(joined), left: names(left) }
}

fn marked(epoch: &str, seq: u64) -> What {
    What::Marked { room: "lobby".into(), user: "bob".into(), place: Place { epoch: epoch.into(), seq } }
}

fn away() -> What {
    What::Disconnected { code: 1006, reason: String::new() }
}

fn found(bob: Vec<(u64, What)>, alice: Vec<(u64, What)>) -> Vec<Kind> {
    let histories = [history("alice", alice), history("bob", bob)];
    let loss = Loss { from: 50_000, until: 51_000, acknowledged: false };
    let dead = 40_000..45_000;
    check(&histories, &[loss], std::slice::from_ref(&dead)).into_iter().map(|it| it.kind).collect()
}

#[test]
fn a_leave_of_who_is_there_is_false() {
    let told = |at| vec![(0, joined()), (at, moved(&[], &["bob"]))];
    assert_eq!(found(vec![(0, joined())], told(10_000)), [Kind::FalseLeave]);
    assert!(found(vec![(0, joined()), (9_000, away())], told(10_000)).is_empty(), "he had gone");
    let back = vec![(0, joined()), (8_000, away()), (9_000, joined())];
    assert!(found(back, told(10_000)).is_empty(), "he had just come back");
    let long_back = vec![(0, joined()), (3_000, away()), (4_000, joined())];
    assert_eq!(found(long_back, told(10_000)), [Kind::FalseLeave]);
    assert!(found(vec![(0, joined())], told(42_000)).is_empty(), "his node was taken for dead");
    let slow = vec![(0, joined()), (1, What::Pace { prompt: false }), (10_000, moved(&[], &["bob"]))];
    assert!(found(vec![(0, joined())], slow).is_empty(), "she heard of it late");
    let pace = |prompt| What::Pace { prompt };
    let left = || What::Left { room: "lobby".into() };
    let slow = |back, end| vec![(0, joined()), (9_000, pace(false)), (back, pace(true)), (end, left())];
    assert!(found(slow(11_000, 11_100), told(10_000)).is_empty(), "he heard late that he had left");
    assert_eq!(found(slow(11_000, 20_000), told(10_000)), [Kind::FalseLeave], "he was there long after");
}

#[test]
fn everybody_is_named_once_to_those_who_are_there() {
    let twice = What::Listed { room: "lobby".into(), users: vec!["bob".into(), "bob".into()] };
    assert_eq!(found(Vec::new(), vec![(0, joined()), (1, twice)]), [Kind::NamedTwice]);
    let both = moved(&["bob"], &["bob"]);
    assert_eq!(found(Vec::new(), vec![(0, joined()), (1, both)]), [Kind::NamedTwice]);
    assert_eq!(found(Vec::new(), vec![(1, moved(&["bob"], &[]))]), [Kind::Ghost]);
}

#[test]
fn markers_go_back_only_with_what_was_lost() {
    let told = |whats: [(u64, What); 2]| found(Vec::new(), whats.to_vec());
    assert_eq!(told([(1, marked("a.0", 7)), (2, marked("a.1", 6))]), [Kind::WentBack]);
    assert!(told([(1, marked("a.0", 7)), (2, marked("a.0", 7))]).is_empty());
    assert!(told([(1, marked("a.0", 7)), (2, marked("b.0", 1))]).is_empty(), "another log");
    assert!(told([(1, marked("a.0", 7)), (52_000, marked("a.0", 6))]).is_empty(), "it was lost");
    assert!(
        told([(52_000, marked("a.0", 7)), (53_000, marked("a.0", 6))]).is_empty(),
        "it was not read again yet"
    );
    assert_eq!(told([(57_000, marked("a.0", 7)), (58_000, marked("a.0", 6))]), [Kind::WentBack]);
}
