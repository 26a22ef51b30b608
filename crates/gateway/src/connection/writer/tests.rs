//! The write path against a socket that takes as many bytes as it likes, whenever it likes.

use std::collections::VecDeque;

use bus::{Bus, MemoryBus, Retention};
use proptest::prelude::*;
use proto::Epoch;

use super::*;
use crate::{config::Config, room::Shared, rooms::Rooms, socket::frame};

/// A node's rooms over a bus in memory, with tails of at most `tail_bytes`.
fn rooms(tail_bytes: usize) -> (Arc<Rooms>, Arc<dyn Bus>) {
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new("test", Retention { length: 1000, age_ms: 60_000 }));
    let mut config = Config::default();
    config.tail.bytes = tail_bytes;
    config.rooms.linger_ms = 0;
    let shared = Arc::new(Shared::new(Arc::new(config.into()), Arc::default(), Arc::new(Metrics::new())));
    (Rooms::new(Arc::clone(&bus), shared), bus)
}

fn at(seq: u64) -> Position {
    Position { epoch: Epoch::parse("e").unwrap(), seq }
}

fn event(seq: u64) -> Frame {
    Frame { bytes: format!("<{seq}>").into(), mark: Mark::Event(at(seq)), sent_at: None, trace: None }
}

/// A connection with one room, and what its socket got.
struct Bench {
    rooms: Arc<Rooms>,
    room: Arc<Room>,
    writer: Writer,
    metrics: Metrics,
    got: Vec<u8>,
}

impl Bench {
    async fn new(tail_bytes: usize) -> Self {
        let (rooms, _) = rooms(tail_bytes);
        let claim = rooms.enter(&RoomName::parse("lobby").unwrap()).await.unwrap();
        let room = Arc::clone(claim.room());
        room.start(at(0));
        let mut writer = Writer::new(1000);
        writer.join(claim, Arc::default(), at(0));
        Self { rooms, room, writer, metrics: Metrics::new(), got: Vec::new() }
    }

    /// Writes to a socket that takes `room` bytes, then blocks.
    fn write(&mut self, batch: Option<&Batch>, mut room: usize) -> Outcome {
        let got = &mut self.got;
        let send = |slices: &[IoSlice<'_>]| {
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = bytes.len().min(room);
            room -= taken;
            got.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
        };
        self.writer.write(batch.map(|batch| (&self.room, batch)), send, &self.metrics)
    }

    /// What the connection's own task does for one that is behind.
    fn read_on(&mut self, head: u64, page: u64) {
        if let Some(read) = self.writer.read_on() {
            let frames: VecDeque<_> = (read.from.seq + 1..=head).take(page as usize).map(event).collect();
            let stands = frames.is_empty().then(|| at(head));
            self.writer.replay(&read, frames, stands);
        }
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.got).unwrap()
    }
}

#[tokio::test]
async fn a_room_that_can_not_be_read_keeps_no_other_waiting() {
    let (rooms, _) = rooms(1000);
    let mut writer = Writer::new(1000);
    for name in ["one", "other"] {
        let claim = rooms.enter(&RoomName::parse(name).unwrap()).await.unwrap();
        claim.room().start(at(10));
        writer.join(claim, Arc::default(), at(3));
    }
    let mut asked = || writer.read_on().unwrap().room.name.to_string();
    assert_eq!([asked(), asked(), asked()], ["one", "other", "one"]);
}

#[derive(Clone, Debug)]
enum Step {
    /// The log gets so many events.
    Append(u64),
    /// The room hears of so many of them; the flusher may hand them on in one piece, to a socket that takes so
    /// many bytes.
    Relay(u64, bool, usize),
    /// A reply waits.
    Reply,
    /// The socket takes so many bytes.
    Open(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_u64..12).prop_map(Step::Append),
        (1_u64..12, any::<bool>(), 0_usize..9).prop_map(|(count, in_one_piece, room)| Step::Relay(
            count,
            in_one_piece,
            room
        )),
        Just(Step::Reply),
        (0_usize..40).prop_map(Step::Open),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the socket takes and whenever the tail is trimmed: whole frames, every event once, in order.
    #[test]
    fn frames_stay_whole_and_events_in_order(steps in steps(), tail_bytes in 8_usize..200, page in 1_u64..9) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new(tail_bytes).await;
            let (mut head, mut heard, mut replies) = (0, 0, 0);
            for step in steps {
                match step {
                    Step::Append(count) => head += count,
                    Step::Relay(count, in_one_piece, room) => {
                        let from = bench.room.end();
                        let news = heard + 1..=head.min(heard + count);
                        heard = *news.end();
                        news.for_each(|seq| bench.room.push(event(seq)));
                        let batch = bench.room.with_tail(|tail| tail.batch(from, 64));
                        bench.write(batch.as_ref().filter(|_| in_one_piece), room);
                    }
                    Step::Reply => {
                        replies += 1;
                        prop_assert!(bench.writer.push(Bytes::from_static(b"(r)")));
                    }
                    Step::Open(room) => {
                        bench.write(None, room);
                        bench.read_on(head, page);
                    }
                }
            }
            (heard + 1..=head).for_each(|seq| bench.room.push(event(seq)));
            while bench.write(None, usize::MAX) != Outcome::Level {
                bench.read_on(head, page);
            }
            let events = (1..=head).map(|seq| format!("<{seq}>")).collect::<Vec<_>>().concat();
            prop_assert_eq!(bench.text().replace("(r)", ""), events);
            prop_assert_eq!(bench.text().matches("(r)").count(), replies);
            Ok(())
        })?;
    }
}

fn ok() -> Instead {
    Instead { placed: Bytes::from_static(b"[ok]"), alone: Bytes::from_static(b"[alone]") }
}

#[tokio::test]
async fn an_ok_takes_its_events_place() {
    let mut bench = Bench::new(1000).await;
    let room = Arc::clone(&bench.room);
    assert_eq!(bench.writer.replace_event(&room, 2, ok()), None);
    (1..=3).for_each(|seq| room.push(event(seq)));
    let batch = room.with_tail(|tail| tail.batch(0, 1000)).unwrap();
    bench.write(Some(&batch), usize::MAX);
    assert_eq!(bench.text(), "<1>[ok]<3>");
    let late = bench.writer.replace_event(&room, 3, ok());
    assert_eq!(late.as_deref(), Some(&b"[alone]"[..]), "that event has passed");
}

#[tokio::test]
async fn an_ok_whose_event_is_lost_comes_behind_the_reset() {
    let mut bench = Bench::new(1000).await;
    let room = Arc::clone(&bench.room);
    bench.writer.replace_event(&room, 9, ok());
    room.push(event(1));
    room.push(Frame { bytes: "<reset>".into(), mark: Mark::Reset(at(1)), sent_at: None, trace: None });
    room.push(event(2));
    bench.write(None, usize::MAX);
    assert_eq!(bench.text(), "<1><reset><2>[alone]");
}

#[tokio::test]
async fn an_ok_takes_no_other_events_place_behind_a_reset() {
    let mut bench = Bench::new(1000).await;
    let room = Arc::clone(&bench.room);
    bench.writer.replace_event(&room, 2, ok());
    [1, 2].into_iter().for_each(|seq| room.push(event(seq)));
    room.push(Frame { bytes: "<reset>".into(), mark: Mark::Reset(at(1)), sent_at: None, trace: None });
    [2, 3].into_iter().for_each(|seq| room.push(event(seq)));
    bench.write(None, usize::MAX);
    assert_eq!(bench.text(), "<1>[ok]<reset><2><3>");
}

/// Whoever does not read may go on sending.
#[tokio::test]
async fn not_more_oks_wait_for_their_places_than_may() {
    let mut bench = Bench::new(1000).await;
    let room = Arc::clone(&bench.room);
    let waiting = (1..=1000).filter(|seq| bench.writer.replace_event(&room, *seq, ok()).is_none());
    assert_eq!(waiting.count(), 64);
}

#[tokio::test]
async fn whoever_read_ahead_in_the_log_gets_nothing_twice() {
    let mut bench = Bench::new(1000).await;
    let room = Arc::clone(&bench.room);
    let claim = bench.rooms.enter(&room.name).await.unwrap();
    bench.writer.leave(&room);
    bench.writer.join(claim, Arc::default(), at(2));
    (1..=3).for_each(|seq| room.push(event(seq)));
    // A reply that is cut right before what was seen already: its rest must not be taken for theirs.
    assert!(bench.writer.push("(r)".into()));
    assert_eq!(bench.write(None, 1), Outcome::Blocked);
    assert_eq!(bench.write(None, usize::MAX), Outcome::Level);
    assert_eq!(bench.text(), "(r)<3>");
}

#[test]
fn nothing_goes_out_behind_the_close() {
    let mut writer = Writer::new(100);
    writer.finish(Some("closing".into()), "close".into());
    assert!(writer.push("late".into()));
    let mut got = Vec::new();
    let send = |slices: &[IoSlice<'_>]| {
        slices.iter().for_each(|slice| got.extend_from_slice(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    };
    assert_eq!(writer.write(None, send, &Metrics::new()), Outcome::Level);
    assert_eq!(got, b"closingclose");
}

#[test]
fn a_reply_that_is_larger_than_the_outbox_fits_alone() {
    let mut writer = Writer::new(10);
    assert!(writer.push(vec![b'x'; 100].into()));
    assert!(!writer.push("y".into()));
}

/// Where each whole block of a stream says that its reader stands.
fn ids(text: &str) -> Vec<&str> {
    let blocks = text.split_terminator("\n\n");
    blocks.map(|block| block.rsplit_once("id: lobby~e~").expect("an id at the end").1).collect()
}

#[tokio::test]
async fn a_block_says_where_its_reader_stands_wherever_it_is_cut() {
    for room in [1, 7, 30, 64, 1000] {
        let mut bench = Bench::new(1 << 20).await;
        bench.writer.write_blocks(Blocks::new(vec![(bench.room.name.clone(), at(0))]));
        assert!(bench.writer.push(frame::text(b"{}")));
        for seq in 1..=3 {
            bench.room.push(Frame {
                bytes: frame::text(b"{}"),
                mark: Mark::Event(at(seq)),
                sent_at: None,
                trace: None,
            });
        }
        while bench.write(None, room) == Outcome::Blocked {}
        assert_eq!(ids(bench.text()), ["0", "1", "2", "3"], "{room} bytes at a time");

        // A reply, and what has no block; the room's batch is not for it as it is.
        assert!(bench.writer.push(frame::text(b"{}")) && bench.writer.push(frame::pong(b"x")));
        bench.room.push(Frame {
            bytes: frame::text(b"{}"),
            mark: Mark::Reset(at(2)),
            sent_at: None,
            trace: None,
        });
        let batch = bench.room.with_tail(|tail| tail.batch(tail.end() - 1, 1000));
        while bench.write(batch.as_ref(), room) == Outcome::Blocked {}
        assert_eq!(bench.writer.outbox_bytes(), 0);

        // Out of the room it says where it stood.
        let name = bench.room.name.clone();
        assert!(bench.writer.leave(&bench.room).is_some() && bench.writer.room(&name).is_none());
        assert!(bench.writer.push(frame::text(b"{}")));
        while bench.write(None, room) == Outcome::Blocked {}
        assert_eq!(ids(bench.text()), ["0", "1", "2", "3", "3", "2", "2"], "{room} bytes at a time");
    }
}
