//! One test for each rule.

use bytes::Bytes;

use super::*;
use crate::{Key, epoch::Lineage};

fn head(lineage: &str, seq: u64) -> Head {
    Head { base: "b".into(), seq, lineage: Lineage::parse(lineage).unwrap() }
}

/// An event whose body is its own position: `b.0-a/7`.
fn event(epoch: &str, seq: u64) -> LogEvent {
    let position = Position { epoch: Epoch::parse(epoch).unwrap(), seq };
    let body = Bytes::from(position.to_string());
    LogEvent { position, key: Key::from_bytes(Bytes::new()), body, trace: None }
}

fn slice(head: Head, first: u64, after: u64, events: Vec<LogEvent>) -> Slice {
    Slice { head, first, after, events }
}

/// A tracker and what it has said.
struct Told {
    tracker: Tracker,
    out: Outcome,
}

impl Told {
    /// In generation `0-a`, level at `seq`.
    fn at(seq: u64) -> Self {
        let mut told = Self { tracker: Tracker::new(), out: Outcome::default() };
        told.tracker.started(head("0-a:1", seq), &mut told.out);
        told
    }

    fn event(&mut self, epoch: &str, seq: u64) -> Vec<String> {
        self.tracker.event(event(epoch, seq), &mut self.out);
        self.steps()
    }

    fn page(&mut self, slice: Slice) -> Vec<String> {
        self.tracker.page(slice, &mut self.out);
        self.steps()
    }

    fn observe(&mut self, epoch: &str, seq: u64, least: u64, eager: bool) -> bool {
        let head = Position { epoch: Epoch::parse(epoch).unwrap(), seq };
        self.tracker.observe(&Observation { head: Some(&head), least, eager });
        self.tracker.wants_read()
    }

    fn steps(&mut self) -> Vec<String> {
        let tell = |step| match step {
            Step::Event(event) => String::from_utf8(event.body.to_vec()).unwrap(),
            Step::Reset(to, reason) => format!("{reason:?} {to}"),
        };
        self.out.steps.drain(..).map(tell).collect()
    }
}

#[test]
fn the_next_event_is_handed_on_and_a_repeat_is_not() {
    let mut told = Told::at(4);
    assert_eq!(told.event("b.0-a", 5), ["b.0-a/5"]);
    assert!(told.event("b.0-a", 5).is_empty());
    assert!(told.event("b.0-a", 2).is_empty());
    assert_eq!(told.event("b.0-a", 6), ["b.0-a/6"]);
    assert!(!told.tracker.wants_read());
}

#[test]
fn a_hole_is_filled_before_anything_later() {
    let mut told = Told::at(4);
    assert!(told.event("b.0-a", 7).is_empty());
    assert_eq!(told.tracker.begin_read(), Some(4));
    assert_eq!(told.tracker.begin_read(), None, "one reading at a time");
    assert!(told.event("b.0-a", 8).is_empty());
    assert!(told.event("b.0-a", 6).is_empty());
    let page = slice(head("0-a:1", 7), 1, 4, (5..=7).map(|seq| event("b.0-a", seq)).collect());
    assert_eq!(told.page(page), ["b.0-a/5", "b.0-a/6", "b.0-a/7", "b.0-a/8"]);
    assert_eq!(told.out.filled, 1, "6 and 7 came by themselves");
    assert_eq!(told.event("b.0-a", 9), ["b.0-a/9"]);
}

#[test]
fn a_long_hole_is_filled_page_by_page() {
    let mut told = Told::at(0);
    told.event("b.0-a", 6);
    for (after, upto) in [(0, 2), (2, 4), (4, 6)] {
        assert_eq!(told.tracker.begin_read(), Some(after));
        let events = (after + 1..=upto).map(|seq| event("b.0-a", seq)).collect();
        assert_eq!(told.page(slice(head("0-a:1", 6), 1, after, events)).len(), 2);
    }
    assert_eq!(told.tracker.begin_read(), None);
}

#[test]
fn a_reading_that_fails_is_not_forgotten() {
    let mut told = Told::at(4);
    told.event("b.0-a", 6);
    assert_eq!(told.tracker.begin_read(), Some(4));
    told.tracker.read_failed();
    assert!(told.tracker.wants_read());
    assert!(told.event("b.0-a", 5).is_empty(), "nothing is handed on meanwhile");
    assert_eq!(told.tracker.begin_read(), Some(4));
}

#[test]
fn what_is_held_is_bounded() {
    let mut told = Told::at(0);
    let many = HELD_EVENTS as u64 + 10;
    for seq in 2..=many {
        told.event("b.0-a", seq);
    }
    assert!(told.tracker.held.len() < HELD_EVENTS);
    assert_eq!(told.tracker.begin_read(), Some(0));
    for seq in many + 1..=2 * many + 10 {
        told.event("b.0-a", seq);
    }
    let page = slice(head("0-a:1", many), 1, 0, (1..=many).map(|seq| event("b.0-a", seq)).collect());
    assert_eq!(told.page(page).len() as u64, many);
    assert_eq!(told.tracker.begin_read(), Some(many), "what was dropped during a reading needs another");
}

#[test]
fn what_is_trimmed_is_told() {
    let mut told = Told::at(4);
    told.event("b.0-a", 30);
    told.tracker.begin_read();
    let page = slice(head("0-a:1", 30), 29, 4, vec![event("b.0-a", 29), event("b.0-a", 30)]);
    assert_eq!(told.page(page), ["Trimmed b.0-a/28", "b.0-a/29", "b.0-a/30"]);

    told.event("b.0-a", 40);
    told.tracker.begin_read();
    let empty = slice(head("0-a:1", 40), 41, 30, vec![]);
    assert_eq!(told.page(empty), ["Trimmed b.0-a/40"]);
    assert_eq!(told.event("b.0-a", 41), ["b.0-a/41"]);
}

#[test]
fn a_log_with_a_hole_of_its_own_goes_on() {
    let mut told = Told::at(4);
    told.event("b.0-a", 8);
    told.tracker.begin_read();
    let page = slice(head("0-a:1", 8), 1, 4, vec![event("b.0-a", 5), event("b.0-a", 8)]);
    assert_eq!(told.page(page), ["b.0-a/5", "Trimmed b.0-a/7", "b.0-a/8"]);

    told.event("b.0-a", 10);
    told.tracker.begin_read();
    assert_eq!(told.page(slice(head("0-a:1", 10), 1, 8, vec![])), ["Trimmed b.0-a/10"]);
}

#[test]
fn another_generation_without_a_loss_goes_on() {
    let mut told = Told::at(4);
    assert!(told.event("b.1-c", 5).is_empty(), "first the log is asked what it is");
    assert_eq!(told.tracker.begin_read(), Some(4));
    assert_eq!(told.page(slice(head("0-a:1 1-c:5", 5), 1, 4, vec![event("b.1-c", 5)])), ["b.1-c/5"]);
    assert_eq!(told.out.filled, 0);
    assert_eq!(told.event("b.1-c", 6), ["b.1-c/6"]);
}

#[test]
fn a_generation_that_is_known_needs_no_question() {
    let mut told = Told { tracker: Tracker::new(), out: Outcome::default() };
    told.tracker.started(head("0-a:1 1-c:6", 4), &mut told.out);
    assert_eq!(told.event("b.0-a", 5), ["b.0-a/5"]);
    assert_eq!(told.out.stale, 0);
    assert!(told.event("b.0-a", 6).is_empty(), "its server has no more to say");
    assert!(told.event("b.1-c", 5).is_empty(), "and the next begins behind that");
    assert_eq!(told.out.stale, 2);
    assert_eq!(told.event("b.1-c", 6), ["b.1-c/6"]);
    assert_eq!(told.event("b.1-c", 7), ["b.1-c/7"]);
}

#[test]
fn a_fork_goes_back_to_the_last_true_position() {
    let mut told = Told::at(9);
    told.event("b.1-c", 8);
    told.tracker.begin_read();
    // The page began behind what was lost; it can't be what follows.
    assert_eq!(told.page(slice(head("0-a:1 1-c:8", 10), 1, 9, vec![event("b.1-c", 10)])), ["Forked b.0-a/7"]);
    assert_eq!(told.tracker.begin_read(), Some(7));
    let page = (8..=10).map(|seq| event("b.1-c", seq)).collect();
    assert_eq!(told.page(slice(head("0-a:1 1-c:8", 10), 1, 7, page)), ["b.1-c/8", "b.1-c/9", "b.1-c/10"]);
}

#[test]
fn a_fork_between_two_branches_of_one_snapshot_is_found_by_lineage() {
    let mut told = Told { tracker: Tracker::new(), out: Outcome::default() };
    told.tracker.started(head("0-a:1 1-c:8", 9), &mut told.out);
    told.event("b.1-d", 8);
    told.tracker.begin_read();
    assert_eq!(told.page(slice(head("0-a:1 1-d:8", 8), 1, 9, vec![])), ["Forked b.0-a/7"]);
}

#[test]
fn a_fork_whose_sequel_is_trimmed_is_a_new_log() {
    let mut told = Told::at(9);
    told.event("b.1-c", 40);
    told.tracker.begin_read();
    let page = slice(head("0-a:1 1-c:8", 40), 40, 9, vec![event("b.1-c", 40)]);
    assert_eq!(told.page(page), ["New b.1-c/39", "b.1-c/40"]);
}

#[test]
fn a_flush_shows_all_of_the_new_log() {
    let mut told = Told::at(9);
    assert!(told.event("other.0-a", 2).is_empty());
    assert_eq!(told.tracker.begin_read(), Some(9));
    let other = Head { base: "other".into(), ..head("0-a:1", 2) };
    assert_eq!(told.page(slice(other.clone(), 1, 9, vec![])), ["New other.0-a/0"]);
    assert_eq!(told.tracker.begin_read(), Some(0));
    let page = vec![event("other.0-a", 1), event("other.0-a", 2)];
    assert_eq!(told.page(slice(other, 1, 0, page)), ["other.0-a/1", "other.0-a/2"]);
}

#[test]
fn a_server_that_was_cut_off_is_refused() {
    let mut told = Told::at(4);
    told.event("b.1-c", 5);
    told.tracker.begin_read();
    told.page(slice(head("0-a:1 1-c:5", 5), 1, 4, vec![event("b.1-c", 5)]));
    assert!(told.event("b.0-a", 6).is_empty(), "the old server goes on numbering");
    assert_eq!(told.out.stale, 1);
    assert!(!told.tracker.wants_read());

    // A generation that this follower never saw, older than its own: not at once, but to be looked into.
    let mut told = Told { tracker: Tracker::new(), out: Outcome::default() };
    told.tracker.started(head("5-c:40", 45), &mut told.out);
    assert!(told.event("b.3-d", 46).is_empty());
    assert_eq!((told.out.stale, told.tracker.wants_read()), (1, false));
    told.tracker.tick();
    told.tracker.tick();
    assert!(told.tracker.wants_read());
}

#[test]
fn a_number_far_ahead_is_checked_and_dropped() {
    let mut told = Told::at(4);
    assert!(told.event("b.0-a", 1 << 52).is_empty());
    told.tracker.begin_read();
    assert!(told.page(slice(head("0-a:1", 4), 1, 4, vec![])).is_empty());
    assert_eq!((told.out.stale, told.tracker.wants_read()), (1, false));
    assert_eq!(told.event("b.0-a", 5), ["b.0-a/5"]);
}

#[test]
fn a_strange_epoch_is_checked_and_dropped() {
    for strange in ["zzz", "zzz.0", "b.9-z", "b.x", "b."] {
        let mut told = Told::at(4);
        assert!(told.event(strange, 5).is_empty());
        if told.tracker.begin_read().is_some() {
            assert!(told.page(slice(head("0-a:1", 4), 1, 4, vec![])).is_empty());
        }
        assert_eq!((told.out.stale, told.tracker.wants_read()), (1, false), "{strange}");
        assert_eq!(told.event("b.0-a", 5), ["b.0-a/5"]);
    }
}

#[test]
fn what_comes_during_a_reading_may_need_another() {
    let mut told = Told::at(4);
    told.event("b.0-a", 6);
    told.tracker.begin_read();
    told.event("b.1-c", 8);
    let page = slice(head("0-a:1", 6), 1, 4, vec![event("b.0-a", 5), event("b.0-a", 6)]);
    assert_eq!(told.page(page), ["b.0-a/5", "b.0-a/6"]);
    assert_eq!(told.tracker.begin_read(), Some(6), "the reading was older than this event");
    let page = slice(head("0-a:1 1-c:7", 8), 1, 6, vec![event("b.1-c", 7), event("b.1-c", 8)]);
    assert_eq!(told.page(page), ["b.1-c/7", "b.1-c/8"]);
    assert!(!told.tracker.wants_read());
}

#[test]
fn a_head_ahead_is_a_hole_only_if_it_stays_so() {
    let mut told = Told::at(4);
    assert!(!told.observe("b.0-a", 5, 4, false), "its event may be under way");
    told.tracker.tick();
    assert_eq!(told.event("b.0-a", 5), ["b.0-a/5"]);
    assert!(!told.tracker.is_suspicious());

    assert!(!told.observe("b.0-a", 7, 5, false));
    told.tracker.tick();
    assert!(!told.observe("b.0-a", 9, 5, false), "the first suspicion is not put off");
    told.tracker.tick();
    assert!(told.tracker.wants_read());
}

#[test]
fn a_head_ahead_after_a_reconnect_is_a_hole() {
    let mut told = Told::at(4);
    assert!(!told.observe("b.0-a", 4, 4, true));
    assert!(told.observe("b.0-a", 5, 4, true));
}

#[test]
fn a_head_behind_or_of_another_epoch_is_a_fork() {
    assert!(!Told::at(4).observe("b.0-a", 3, 3, false), "the tail moved on while the head was asked for");
    assert!(Told::at(4).observe("b.0-a", 3, 4, false));
    assert!(Told::at(4).observe("b.1-c", 4, 4, false));
    assert!(Told::at(4).observe("other.0-a", 4, 4, false));
    let mut told = Told::at(4);
    told.tracker.observe(&Observation { head: None, least: 4, eager: false });
    assert!(told.tracker.wants_read(), "the head is gone");
}

#[test]
fn a_reconnect_during_a_reading_needs_another() {
    let mut told = Told::at(4);
    told.event("b.0-a", 6);
    told.tracker.begin_read();
    assert!(!told.observe("b.0-a", 8, 4, true));
    let page = slice(head("0-a:1", 6), 1, 4, vec![event("b.0-a", 5), event("b.0-a", 6)]);
    assert_eq!(told.page(page).len(), 2);
    assert_eq!(told.tracker.begin_read(), Some(6));
}

#[test]
fn what_comes_before_the_start_is_held() {
    let mut told = Told { tracker: Tracker::new(), out: Outcome::default() };
    for seq in [5, 6, 8] {
        assert!(told.event("b.0-a", seq).is_empty());
    }
    told.tracker.started(head("0-a:1", 5), &mut told.out);
    assert_eq!(told.steps(), ["b.0-a/6"]);
    assert_eq!(told.tracker.begin_read(), Some(6));
}
