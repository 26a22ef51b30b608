use proto::Epoch;

use super::*;

fn at(epoch: &str, seq: u64) -> Position {
    Position { epoch: Epoch::parse(epoch).unwrap(), seq }
}

fn frame(mark: Mark) -> Frame {
    Frame { bytes: Bytes::from_static(b"0123456789"), mark, sent_at: None, trace: None }
}

/// A tail that began at 2 and got 3, a typing frame, 4, 5.
fn tail() -> Tail {
    let mut tail = Tail::starting(at("e", 2), 10);
    for mark in [Mark::Event(at("e", 3)), Mark::Ephemeral, Mark::Event(at("e", 4)), Mark::Event(at("e", 5))] {
        tail.push(frame(mark), Instant::now());
    }
    tail
}

#[test]
fn a_position_is_found_by_epoch_and_seq() {
    let tail = tail();
    assert_eq!(tail.find(&at("e", 2)), Some(10));
    assert_eq!(tail.find(&at("e", 3)), Some(11));
    assert_eq!(tail.find(&at("e", 5)), Some(14));
    assert_eq!(tail.find(&at("e", 9)), Some(14), "ahead: read from the log what has yet to come here");
    assert_eq!(tail.find(&at("e", 1)), None);
    assert_eq!(tail.find(&at("f", 4)), None);
}

#[test]
fn what_is_not_logged_is_forgotten_from_the_front_once_all_have_it() {
    let mut tail = Tail::starting(at("e", 2), 10);
    for mark in [Mark::Ephemeral, Mark::Ephemeral, Mark::Ephemeral, Mark::Event(at("e", 3)), Mark::Ephemeral]
    {
        tail.push(frame(mark), Instant::now());
    }
    assert_eq!(tail.forget_ephemeral(12), 20, "the third has yet to be written");
    assert_eq!((tail.front(), tail.end(), tail.bytes()), (12, 15, 30));
    assert_eq!(tail.find(&at("e", 2)), Some(12));
    assert_eq!(tail.forget_ephemeral(15), 10, "an event stays, and what is behind it");
    assert_eq!((tail.front(), tail.end(), tail.bytes()), (13, 15, 20));
    assert_eq!(tail.find(&at("e", 2)), Some(13));
    assert_eq!(tail.find(&at("e", 3)), Some(14));
}

#[test]
fn trimming_moves_the_front_and_the_place_before_it() {
    let mut tail = tail();
    tail.trim(20, Duration::MAX, Instant::now());
    assert_eq!((tail.front(), tail.end(), tail.bytes()), (12, 14, 20));
    assert_eq!(tail.find(&at("e", 3)), Some(12));
    assert_eq!(tail.find(&at("e", 2)), None);
    assert!(tail.since(11, tail.era()).is_none());
    tail.trim(usize::MAX, Duration::ZERO, Instant::now() + Duration::from_secs(1));
    assert_eq!((tail.front(), tail.end(), tail.bytes()), (14, 14, 0));
    assert_eq!(tail.find(&at("e", 5)), Some(14));
}

#[test]
fn it_reaches_back_to_what_it_follows_on_and_to_nothing_else() {
    let mut tail = tail();
    let events = |epoch, seqs: std::ops::RangeInclusive<u64>| {
        seqs.map(|seq| frame(Mark::Event(at(epoch, seq)))).collect::<Vec<_>>()
    };
    assert!(!tail.reach_back(at("e", 0), events("e", 1..=1), Instant::now()), "2 is missing");
    assert!(!tail.reach_back(at("f", 0), events("f", 1..=2), Instant::now()), "another branch");
    assert!(!tail.reach_back(at("e", 2), Vec::new(), Instant::now()), "nothing");
    assert!(tail.reach_back(at("e", 0), events("e", 1..=4), Instant::now()));
    assert_eq!((tail.front(), tail.end(), tail.bytes()), (8, 14, 60));
    assert_eq!(tail.find(&at("e", 0)), Some(8));
    assert_eq!(tail.find(&at("e", 1)), Some(9));
    assert_eq!(tail.find(&at("e", 2)), Some(10));
    assert_eq!(tail.find(&at("e", 5)), Some(14));
}

/// Else a reader that the tail has passed would take what was read back for what it waits for, and never hear of what is not
/// logged, nor of a reset.
#[test]
fn an_index_that_was_passed_does_not_come_back() {
    let mut tail = tail();
    let (passed, kept, era) = (11, 12, tail.era());
    tail.trim(20, Duration::MAX, Instant::now());
    let events = (1..=3).map(|seq| frame(Mark::Event(at("e", seq)))).collect();
    assert!(tail.reach_back(at("e", 0), events, Instant::now()));
    assert_eq!((tail.front(), tail.find(&at("e", 2))), (9, Some(passed)), "another frame than before");
    assert!(tail.since(passed, era).is_none());
    assert!(tail.since(passed, tail.era()).is_some(), "it was found since");
    assert!(tail.since(kept, era).is_some(), "this one has been the same all the time");
}

#[test]
fn recent_counts_events_only() {
    let tail = tail();
    assert_eq!(tail.recent(0), Some(at("e", 5)));
    assert_eq!(tail.recent(1), Some(at("e", 4)));
    assert_eq!(tail.recent(2), Some(at("e", 3)));
    assert_eq!(tail.recent(3), Some(at("e", 2)));
    assert_eq!(tail.recent(4), None, "the log may hold more");
    assert_eq!(Tail::new(at("e", 0)).recent(4), Some(at("e", 0)), "a new log holds no more");
}

#[test]
fn a_batch_is_one_piece_and_remembers_its_cuts() {
    let tail = tail();
    let batch = tail.batch(11, 1000).unwrap();
    assert_eq!((batch.from, batch.to, batch.events), (11, 14, 2));
    assert_eq!(batch.bytes.len(), 30);
    assert_eq!(batch.cuts[2], (30, Mark::Event(at("e", 5))));
    assert_eq!(batch.position, Some(at("e", 5)));
    assert!(batch.fits(11, 3));
    assert!(!batch.fits(11, 4), "somebody ahead must not get 4 again");
    assert_eq!(tail.batch(10, 15).unwrap().to, 11, "bounded, but one frame at least");
    assert!(tail.batch(14, 1000).is_none());
}

#[test]
fn a_reset_makes_everyone_look_for_itself() {
    let mut tail = tail();
    tail.push(frame(Mark::Reset(at("e", 4))), Instant::now());
    tail.push(frame(Mark::Event(at("f", 5))), Instant::now());
    assert!(!tail.batch(10, 1000).unwrap().fits(10, 2));
    assert_eq!(tail.find(&at("e", 4)), Some(15), "behind the reset, not in the branch that is gone");
    assert_eq!(tail.recent(2), None);
}

/// Met by the chaos harness behind sentinels: who joined after a failover was given what had been lost in it, and then
/// told so. So was who came back from a place in it, with a count of what is gone.
#[test]
fn nobody_is_led_through_what_is_gone() {
    let mut tail = tail();
    tail.push(frame(Mark::Reset(at("e", 3))), Instant::now());
    tail.push(frame(Mark::Event(at("f", 4))), Instant::now());
    assert_eq!(tail.find(&at("e", 2)), None, "the log goes on without 4 and 5");
    assert_eq!(tail.find(&at("e", 3)), Some(15));
    assert_eq!(tail.find(&at("e", 4)), None, "the log says what has become of it");
    assert_eq!(tail.find(&at("e", 5)), None);
    assert_eq!(tail.find(&at("f", 4)), Some(16));
    let events = vec![frame(Mark::Event(at("e", 1))), frame(Mark::Event(at("e", 2)))];
    assert!(!tail.reach_back(at("e", 0), events, Instant::now()));
    tail.trim(20, Duration::MAX, Instant::now());
    assert_eq!(tail.find(&at("e", 5)), None, "also where it is all that is left");
    assert_eq!(tail.find(&at("f", 4)), Some(16));
}
