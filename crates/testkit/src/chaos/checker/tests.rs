//! A checker that finds nothing must be shown to find something.

use super::*;
use crate::chaos::history::{Entry, Logged};

mod good;
mod planted;

const MESSAGES: u64 = 6;

fn place(epoch: &str, seq: u64) -> Place {
    Place { epoch: epoch.into(), seq }
}

/// A run in which alice says six things to two rooms, bob and carol listen, and nothing fails.
struct Run {
    histories: Vec<History>,
    logs: Vec<Log>,
    losses: Vec<Loss>,
}

impl Run {
    fn good() -> Self {
        let mut alice = vec![connected(0), joined(1, place("a.0", 0), None, false)];
        let (mut bob, mut events) = (alice.clone(), Vec::new());
        for seq in 1..=MESSAGES {
            let at = seq * 10;
            alice.push(sent(at, seq));
            alice.push(acked(at + 1, seq, place("a.0", seq)));
            alice.push(event(at + 2, seq, place("a.0", seq)));
            bob.push(event(at + 3, seq, place("a.0", seq)));
            events.push(Logged { place: place("a.0", seq), from: "alice".into(), id: id(seq) });
        }
        let carol = bob.clone();
        let history = |user: &str, entries| History { user: user.into(), entries };
        Self {
            histories: vec![history("alice", alice), history("bob", bob), history("carol", carol)],
            logs: vec![Log { at: 100, room: "lobby".into(), head: place("a.0", MESSAGES), events }],
            losses: Vec::new(),
        }
    }

    fn bob(&mut self) -> &mut Vec<Entry> {
        &mut self.histories[1].entries
    }

    /// Where bob's record of an event stands.
    fn bobs(&mut self, seq: u64) -> usize {
        let wanted = |entry: &Entry| matches!(&entry.what, What::Event { place, .. } if place.seq == seq);
        self.bob().iter().position(wanted).expect("bob got it")
    }

    /// Redis loses everything after `seq`, and the log goes on with another event in the next one's place.
    fn fork_after(&mut self, seq: u64) {
        let other = Logged { place: place("a.1", seq + 1), from: "alice".into(), id: id(99) };
        self.losses.push(Loss { from: (seq + 1) * 10, until: 100, acknowledged: true });
        for history in &mut self.histories {
            let reset =
                What::Reset { room: "lobby".into(), place: place("a.0", seq), reason: "forked".into() };
            history.entries.push(Entry { at: 110, what: reset });
            history.entries.push(event(121, 99, other.place.clone()));
        }
        self.histories[0].entries.push(sent(120, 99));
        let log = &mut self.logs[0];
        log.events.truncate(seq as usize);
        log.events.push(other.clone());
        (log.at, log.head) = (130, other.place);
    }

    /// The kinds of what is found.
    fn found(&self) -> Vec<Kind> {
        let evidence = Evidence { histories: &self.histories, logs: &self.logs, losses: &self.losses };
        let mut kinds: Vec<Kind> = check(&evidence).into_iter().map(|violation| violation.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }
}

fn id(seq: u64) -> Arc<str> {
    format!("message {seq}").into()
}

fn connected(at: u64) -> Entry {
    Entry { at, what: What::Connected { node: "node-0".into() } }
}

fn joined(at: u64, place: Place, since: Option<Place>, recovered: bool) -> Entry {
    Entry { at, what: What::Joined { room: "lobby".into(), place, since, recovered } }
}

fn sent(at: u64, seq: u64) -> Entry {
    Entry { at, what: What::Sent { room: "lobby".into(), id: id(seq) } }
}

fn acked(at: u64, seq: u64, place: Place) -> Entry {
    Entry { at, what: What::Acked { room: "lobby".into(), id: id(seq), place } }
}

fn event(at: u64, seq: u64, place: Place) -> Entry {
    Entry { at, what: What::Event { room: "lobby".into(), place, from: "alice".into(), id: id(seq) } }
}

#[test]
fn a_good_history_passes() {
    assert_eq!(Run::good().found(), []);
}

#[test]
fn a_good_history_with_a_reconnect_passes() {
    let mut run = Run::good();
    let third = run.bobs(3);
    let away = What::Disconnected { code: 1006, reason: "cut".into() };
    let again = [
        Entry { at: 34, what: away },
        connected(35),
        joined(36, place("a.0", 3), Some(place("a.0", 3)), true),
    ];
    run.bob().splice(third + 1..=third, again);
    assert_eq!(run.found(), []);
}

#[test]
fn a_good_history_with_a_fork_that_was_told_passes() {
    let mut run = Run::good();
    run.fork_after(4);
    assert_eq!(run.found(), []);
}

#[test]
fn a_loss_is_caught() {
    let mut run = Run::good();
    let third = run.bobs(3);
    run.bob().remove(third);
    assert_eq!(run.found(), [Kind::Lost]);
}

#[test]
fn a_loss_at_the_end_is_caught() {
    let mut run = Run::good();
    run.bob().pop();
    assert_eq!(run.found(), [Kind::Lost]);
}

#[test]
fn a_loss_behind_a_resume_is_caught() {
    let mut run = Run::good();
    let third = run.bobs(3);
    let again = [connected(35), joined(36, place("a.0", 3), Some(place("a.0", 3)), true)];
    // The fourth was to be replayed.
    run.bob().splice(third + 1..third + 2, again);
    assert_eq!(run.found(), [Kind::Lost]);
}

#[test]
fn a_duplicate_is_caught() {
    let mut run = Run::good();
    let third = run.bobs(3);
    let again = run.bob()[third].clone();
    run.bob().insert(third + 1, again);
    assert_eq!(run.found(), [Kind::Duplicate]);
}

#[test]
fn a_retry_that_doubled_is_caught() {
    let mut run = Run::good();
    let twice = place("a.0", MESSAGES + 1);
    run.histories.iter_mut().for_each(|it| it.entries.push(event(90, 2, twice.clone())));
    run.logs[0].events.push(Logged { place: twice.clone(), from: "alice".into(), id: id(2) });
    run.logs[0].head = twice;
    assert_eq!(run.found(), [Kind::Duplicate]);
}

#[test]
fn a_swap_is_caught() {
    let mut run = Run::good();
    let third = run.bobs(3);
    run.bob().swap(third, third + 1);
    assert_eq!(run.found(), [Kind::Reordered]);
}

#[test]
fn an_append_out_of_the_sender_s_order_is_caught() {
    let mut run = Run::good();
    // She said the second before the first.
    let alice = &mut run.histories[0].entries;
    let (first, second) = (sent(10, 2), sent(20, 1));
    let sends: Vec<usize> =
        (0..alice.len()).filter(|&i| matches!(alice[i].what, What::Sent { .. })).collect();
    (alice[sends[0]], alice[sends[1]]) = (first, second);
    assert_eq!(run.found(), [Kind::Reordered]);
}

#[test]
fn a_ghost_that_nobody_sent_is_caught() {
    let mut run = Run::good();
    let ghost = place("a.0", MESSAGES + 1);
    run.histories.iter_mut().for_each(|it| it.entries.push(event(90, 77, ghost.clone())));
    run.logs[0].events.push(Logged { place: ghost.clone(), from: "alice".into(), id: id(77) });
    run.logs[0].head = ghost;
    assert_eq!(run.found(), [Kind::Ghost]);
}

#[test]
fn a_ghost_of_a_room_that_was_not_joined_is_caught() {
    let mut run = Run::good();
    let third = run.bobs(3);
    run.bob().insert(third, Entry { at: 29, what: What::Left { room: "lobby".into() } });
    assert!(run.found().contains(&Kind::Ghost));
}

#[test]
fn a_false_ok_is_caught() {
    let mut run = Run::good();
    run.histories[0].entries.push(sent(70, 7));
    run.histories[0].entries.push(acked(71, 7, place("a.0", 7)));
    assert_eq!(run.found(), [Kind::FalseOk]);
}

#[test]
fn an_ok_for_another_s_place_is_caught() {
    let mut run = Run::good();
    run.histories[0].entries.push(sent(70, 7));
    run.histories[0].entries.push(acked(71, 7, place("a.0", 5)));
    assert!(run.found().contains(&Kind::FalseOk));
}

#[test]
fn a_silent_hole_is_caught() {
    let mut run = Run::good();
    // Nobody was told ok, so nobody can say that it was lost; but its number is missing.
    run.histories[0].entries.retain(|it| !matches!(&it.what, What::Acked { place, .. } if place.seq == 3));
    let third = run.bobs(3);
    run.bob().remove(third);
    assert_eq!(run.found(), [Kind::Hole]);
}

#[test]
fn a_disagreement_between_receivers_is_caught() {
    let mut run = Run::good();
    run.histories[0].entries.push(sent(29, 30));
    let third = run.bobs(3);
    run.bob()[third] = event(33, 30, place("a.0", 3));
    assert_eq!(run.found(), [Kind::Disagreement]);
}

#[test]
fn a_fork_that_one_was_not_told_of_is_caught() {
    let mut run = Run::good();
    run.fork_after(4);
    run.bob().retain(|entry| !matches!(entry.what, What::Reset { .. }));
    assert!(run.found().contains(&Kind::Untold), "{:?}", run.found());
}

#[test]
fn a_new_log_that_one_was_not_told_of_is_caught() {
    let mut run = Run::good();
    run.losses.push(Loss { from: 80, until: 90, acknowledged: true });
    run.logs.push(Log { at: 120, room: "lobby".into(), head: place("b.0", 0), events: Vec::new() });
    assert_eq!(run.found(), [Kind::Untold]);
}

#[test]
fn a_reset_without_a_loss_is_caught() {
    let mut run = Run::good();
    run.fork_after(4);
    run.losses.clear();
    assert!(run.found().contains(&Kind::NeedlessReset));
}

#[test]
fn a_second_reset_for_one_loss_is_caught() {
    let mut run = Run::good();
    run.fork_after(4);
    let again = What::Reset { room: "lobby".into(), place: place("a.1", 5), reason: "forked".into() };
    run.bob().push(Entry { at: 140, what: again });
    assert_eq!(run.found(), [Kind::NeedlessReset]);
}

#[test]
fn a_close_that_tells_to_stay_away_is_caught() {
    let mut run = Run::good();
    let close = What::Disconnected { code: 1008, reason: "rate_limited".into() };
    run.bob().push(Entry { at: 99, what: close });
    assert_eq!(run.found(), [Kind::Expelled]);
}

/// With `ok`s of all replicas a failover may lose what was seen without an `ok`, and that alone.
#[test]
fn an_ok_that_a_failover_lost_is_caught_where_replicas_had_to_have_it() {
    let mut run = Run::good();
    run.fork_after(4);
    run.losses[0].acknowledged = false;
    assert_eq!(run.found(), [Kind::FalseOk]);
    run.histories[0].entries.retain(|it| !matches!(&it.what, What::Acked { place, .. } if place.seq > 4));
    assert_eq!(run.found(), []);
}

/// Another server, and nothing lost: nobody may be told anything.
#[test]
fn a_fork_that_took_nothing_is_caught() {
    let mut run = Run::good();
    run.losses.push(Loss { from: 80, until: 90, acknowledged: true });
    let reset = What::Reset { room: "lobby".into(), place: place("a.0", 4), reason: "forked".into() };
    run.bob().push(Entry { at: 95, what: reset });
    assert!(run.found().contains(&Kind::NeedlessReset), "{:?}", run.found());
}

#[test]
fn a_fork_that_one_went_on_past_is_caught_though_the_log_began_again_later() {
    let mut run = Run::good();
    run.fork_after(4);
    run.bob().retain(|entry| !matches!(entry.what, What::Reset { .. }));
    // A flush, of which everyone is told.
    run.losses.push(Loss { from: 131, until: 140, acknowledged: true });
    for history in &mut run.histories {
        let reset = What::Reset { room: "lobby".into(), place: place("b.0", 0), reason: "new".into() };
        history.entries.push(Entry { at: 150, what: reset });
    }
    run.logs.push(Log { at: 160, room: "lobby".into(), head: place("b.0", 0), events: Vec::new() });
    assert!(run.found().contains(&Kind::Untold), "{:?}", run.found());
}

#[test]
fn a_fork_that_takes_nothing_back_is_caught() {
    let mut run = Run::good();
    run.fork_after(4);
    let bob = run.bob();
    // He had not seen what was lost.
    bob.retain(
        |it| !matches!(&it.what, What::Event { place, .. } if place.seq > 4 && &*place.epoch == "a.0"),
    );
    assert_eq!(run.found(), [Kind::NeedlessReset]);
}

#[test]
fn a_fork_that_skips_events_is_caught() {
    let mut run = Run::good();
    run.fork_after(4);
    // He had three of the four that are still true.
    run.bob().retain(
        |it| !matches!(&it.what, What::Event { place, .. } if place.seq > 3 && &*place.epoch == "a.0"),
    );
    assert_eq!(run.found(), [Kind::Hole]);
}

#[test]
fn an_ok_in_a_room_without_a_log_is_caught() {
    let mut run = Run::good();
    run.logs[0].room = "another".into();
    run.logs[0].events.clear();
    assert_eq!(run.found(), [Kind::FalseOk]);
}

#[test]
fn an_ok_for_what_was_said_after_the_loss_is_not_excused_by_it() {
    let mut run = Run::good();
    run.losses.push(Loss { from: 62, until: 65, acknowledged: true });
    run.histories[0].entries.push(sent(70, 7));
    run.histories[0].entries.push(acked(71, 7, place("a.0", 7)));
    assert_eq!(run.found(), [Kind::FalseOk]);
}

/// A node that has not heard of a flush yet lets somebody in, who is told when it has.
#[test]
fn who_came_into_a_log_that_was_gone_may_be_told_later_and_does_not_go_back() {
    let mut run = Run::good();
    run.losses.push(Loss { from: 105, until: 110, acknowledged: true });
    run.logs.push(Log { at: 200, room: "lobby".into(), head: place("b.0", 0), events: Vec::new() });
    let reset = |epoch: &str, at: u64| Entry {
        at,
        what: What::Reset { room: "lobby".into(), place: place(epoch, 0), reason: "new".into() },
    };
    run.histories.iter_mut().for_each(|history| history.entries.push(reset("b.0", 130)));
    run.histories.push(History {
        user: "dave".into(),
        entries: vec![joined(120, place("a.0", MESSAGES), None, false), reset("b.0", 130)],
    });
    assert_eq!(run.found(), []);
    run.histories[3].entries.extend([reset("a.0", 140), reset("b.0", 150)]);
    assert_eq!(run.found(), [Kind::NeedlessReset]);
}

/// The same of a branch: its node has not heard yet that the server came back without it. But it will soon.
#[test]
fn who_came_onto_a_branch_that_was_gone_is_told_soon_or_never() {
    let comes_in_at = |at: u64| {
        let mut run = Run::good();
        run.fork_after(4);
        let reset = What::Reset { room: "lobby".into(), place: place("a.0", 4), reason: "forked".into() };
        run.histories.push(History {
            user: "dave".into(),
            entries: vec![
                joined(at, place("a.0", 4), None, false),
                event(at, 5, place("a.0", 5)),
                Entry { at: at + 5, what: reset },
                event(at + 6, 99, place("a.1", 5)),
            ],
        });
        run.found()
    };
    assert_eq!(comes_in_at(105), []);
    assert_eq!(comes_in_at(2200), [Kind::NeedlessReset]);
}
