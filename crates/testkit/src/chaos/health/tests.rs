//! Health that lies is caught, in either direction.

use super::*;
use crate::chaos::history::{Entry, Place};

/// What a node says every 200 ms for ten seconds.
fn saying(bad: impl Fn(u64) -> bool) -> Watched {
    let sample = |at| Sample { at, ready: !bad(at), up: !bad(at), filled: 0 };
    Watched { node: "node-0".into(), samples: (0..50).map(|number| sample(number * 200)).collect() }
}

/// One who is on the node, and hears what it said itself 5 ms after the `ok`, unless it is not to.
fn listener(heard: impl Fn(u64) -> bool) -> History {
    let place = |seq| Place { epoch: "a.0".into(), seq };
    let room: Arc<str> = "lobby".into();
    let mut entries = vec![
        Entry { at: 0, what: What::Connected { node: "node-0".into() } },
        Entry {
            at: 1,
            what: What::Joined { room: room.clone(), place: place(0), since: None, recovered: false },
        },
    ];
    for seq in 1..100 {
        let (at, id): (u64, Arc<str>) = (seq * 100, seq.to_string().into());
        entries
            .push(Entry { at, what: What::Acked { room: room.clone(), id: id.clone(), place: place(seq) } });
        if heard(at) {
            let what = What::Event { room: room.clone(), place: place(seq), from: "alice".into(), id };
            entries.push(Entry { at: at + 5, what });
        }
    }
    History { user: "alice".into(), entries }
}

fn kinds(violations: &[Violation]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = violations.iter().map(|violation| violation.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn health_that_is_true_passes() {
    assert_eq!(kinds(&always(&[listener(|_| true)], &[saying(|_| false)])), []);
    let out = |at: u64| (3000..8000).contains(&at);
    assert_eq!(kinds(&always(&[listener(|at| !out(at))], &[saying(out)])), []);
}

#[test]
fn a_node_that_hears_nothing_and_says_nothing_is_caught() {
    let out = |at: u64| (1000..9000).contains(&at);
    assert_eq!(kinds(&always(&[listener(|at| !out(at))], &[saying(|_| false)])), [Kind::Deaf]);
}

#[test]
fn an_alarm_while_all_goes_well_is_caught() {
    let out = |at: u64| (3000..8000).contains(&at);
    assert_eq!(kinds(&always(&[listener(|_| true)], &[saying(out)])), [Kind::FalseAlarm]);
}

/// One of several primaries is out of reach: its rooms pause, and the others go on.
#[test]
fn an_alarm_for_one_of_several_rooms_passes() {
    let out = |at: u64| (3000..8000).contains(&at);
    let mut elsewhere = listener(|at| !out(at));
    elsewhere.user = "bob".into();
    for entry in &mut elsewhere.entries {
        let (What::Joined { room, .. } | What::Acked { room, .. } | What::Event { room, .. }) =
            &mut entry.what
        else {
            continue;
        };
        *room = "elsewhere".into();
    }
    elsewhere.entries.retain(|entry| !matches!(entry.what, What::Acked { .. }));
    assert_eq!(kinds(&always(&[listener(|_| true), elsewhere], &[saying(out)])), []);
}

#[test]
fn what_a_fault_demands_is_compared() {
    let node: Arc<str> = "node-0".into();
    let down = Expectation { down: vec![node.clone()], up: Vec::new() };
    let up = Expectation { down: Vec::new(), up: vec![node] };
    let (silent, loud) = ([saying(|_| false)], [saying(|at| (3000..8000).contains(&at))]);
    assert_eq!(kinds(&during(&down, 1000, 9000, &silent)), [Kind::Deaf]);
    assert_eq!(kinds(&during(&down, 1000, 2000, &silent)), []);
    assert_eq!(kinds(&during(&down, 1000, 9000, &loud)), []);
    assert_eq!(kinds(&during(&up, 1000, 9000, &loud)), [Kind::FalseAlarm]);
    assert_eq!(kinds(&during(&up, 1000, 9000, &silent)), []);
}
