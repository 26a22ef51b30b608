//! Health that lies is caught, in either direction.

use super::*;
use crate::chaos::history::{Entry, Place};

/// What a node says every 200 ms for ten seconds.
fn saying(bad: impl Fn(u64) -> bool) -> Watched {
    // Since the first look at which it was bad.
    let since = |at| (0..=at / 200).map(|number| at - number * 200).take_while(|at| bad(*at)).last();
    let said = |at| since(at).map_or(Since::Up, |since| Since::Down(since.cast_signed()));
    let sample = |at| Sample { at, ready: !bad(at), up: !bad(at), since: said(at), filled: 0, resident: 0 };
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

/// On one Redis.
fn always(histories: &[History], watched: &[Watched]) -> Vec<Violation> {
    super::always(histories, watched, &[], 1)
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

/// Where its `ok` waited for replicas, or where it was lost after its `ok`, nobody is to hear it.
#[test]
fn what_was_acknowledged_too_late_or_lost_is_not_missed() {
    let out = |at: u64| (1000..9000).contains(&at);
    let mut late = listener(|at| !out(at));
    if let What::Joined { place, .. } = &mut late.entries[1].what {
        place.seq = 200;
    }
    assert_eq!(kinds(&always(&[late], &[saying(|_| false)])), []);
    let lost = |acknowledged| {
        let losses = [Loss { from: 1000, until: 9000, acknowledged }];
        kinds(&super::always(&[listener(|at| !out(at))], &[saying(|_| false)], &losses, 1))
    };
    assert_eq!((lost(true), lost(false)), (vec![], vec![Kind::Deaf]));
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

/// A node that is down from 3 s to 8 s and says so in its own way.
fn since(says: impl Fn(&Sample) -> Since) -> Vec<Kind> {
    let mut node = saying(|at| (3000..8000).contains(&at));
    for sample in &mut node.samples {
        sample.since = says(sample);
    }
    let out = |at: u64| (3000..8000).contains(&at);
    let node = [node];
    let mut found = always(&[listener(|at| !out(at))], &node);
    found.extend(during(&Expectation::default(), 2500, 9000, &node));
    kinds(&found)
}

#[test]
fn since_when_is_told() {
    let told = |begun: i64| move |it: &Sample| if it.up { Since::Up } else { Since::Down(begun) };
    // The last proof came a second before the fault began, or with it, or just before the node said so.
    for begun in [1500, 2500, 2990] {
        assert_eq!(since(told(begun)), [], "down since {begun}");
    }
    assert_eq!(since(told(400)), [Kind::WrongSince], "longer ago than the fault");
    assert_eq!(since(told(4000)), [Kind::WrongSince], "in the future");
    assert_eq!(since(|_| Since::Up), [Kind::WrongSince], "never");
    assert_eq!(since(|_| Since::Down(2500)), [Kind::WrongSince], "always");
    assert_eq!(since(|_| Since::Unsaid), [Kind::WrongSince], "not at all");
    let now = |it: &Sample| if it.up { Since::Up } else { Since::Down(it.at.cast_signed()) };
    assert_eq!(since(now), [Kind::WrongSince], "now, each time");
}

#[test]
fn a_look_between_two_gauges_is_no_contradiction() {
    let late = |it: &Sample| if (3200..8200).contains(&it.at) { Since::Down(2900) } else { Since::Up };
    assert_eq!(since(late), []);
}
