//! Reads of the log, each part once.
//!
//! Whoever asks while the same part is being read waits for the *next* reading of it, shared with everybody who
//! waits by then: a read that was under way before may lack what the asker has already been told of.

use std::{collections::HashMap, future::Future, sync::Arc};

use parking_lot::Mutex;
use proto::{Position, RoomName, server::ResetReason};
use tokio::sync::{Semaphore, oneshot};

use super::{
    Core,
    link::{Link, Part},
    panic::Unfinished,
};
use crate::{
    BusError, LogEvent, MOST_EVENTS, Page, ReadFrom, Verdict,
    epoch::{self, Head},
    follow::Slice,
};

/// Readings that are under way at the same time.
const AT_ONCE: usize = 64;

/// How often a page is tried again when the log forks under the reading.
const ATTEMPTS: usize = 5;

type Asked = (RoomName, ReadFrom, u32);
type Answer = oneshot::Sender<Result<Page, BusError>>;

pub(super) struct Reads {
    /// Who waits for the next reading of a part, while one is under way.
    waiting: Mutex<HashMap<Asked, Vec<Answer>>>,
    at_once: Semaphore,
}

impl Reads {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(HashMap::new()), at_once: Semaphore::new(AT_ONCE) }
    }
}

/// Reads a part of a room's log, together with whoever else wants it.
pub(super) async fn read(
    core: &Arc<Core>,
    room: &RoomName,
    from: ReadFrom,
    limit: u32,
) -> Result<Page, BusError> {
    let asked = (room.clone(), from, limit.min(MOST_EVENTS));
    let (answer, receiver) = oneshot::channel();
    let first = {
        let mut waiting = core.reads.waiting.lock();
        match waiting.get_mut(&asked) {
            Some(others) => {
                others.push(answer);
                None
            }
            None => {
                waiting.insert(asked.clone(), Vec::new());
                Some(answer)
            }
        }
    };
    if let Some(answer) = first {
        // A task of its own: whoever asked first may be dropped while others wait.
        let core = Arc::clone(core);
        tokio::spawn(async move {
            guarded(&core.reads, &asked, serve(&core, &asked, answer)).await;
        });
    }
    receiver.await.unwrap_or_else(|_| Err(BusError::unavailable("the read was given up")))
}

/// Reads a part for whoever wants it. When that panics, those who wait are told, and the next who asks reads anew.
async fn guarded(reads: &Reads, asked: &Asked, serve: impl Future<Output = ()>) {
    let unfinished = Unfinished::new("reader", || drop(reads.waiting.lock().remove(asked)));
    serve.await;
    unfinished.finished();
}

async fn serve(core: &Core, asked: &Asked, first: Answer) {
    let mut answers = vec![first];
    loop {
        let page = page(core, asked).await;
        for answer in answers {
            let _ = answer.send(page.clone());
        }
        let mut waiting = core.reads.waiting.lock();
        answers = waiting.get_mut(asked).map(std::mem::take).unwrap_or_default();
        if answers.is_empty() {
            waiting.remove(asked);
            return;
        }
    }
}

async fn page(core: &Core, (room, from, limit): &Asked) -> Result<Page, BusError> {
    // It is never closed.
    let _permit = core.reads.at_once.acquire().await;
    match from {
        ReadFrom::After(position) => after(&core.link, room, position, *limit).await,
        ReadFrom::AfterSeq(seq) => {
            let slice = core.link.read(room, Part::After(*seq), *limit).await?;
            Ok(plain(slice, without_holes))
        }
        ReadFrom::BeforeSeq(seq) => {
            let slice = core.link.read(room, Part::Before(*seq), *limit).await?;
            Ok(plain(slice, newest_without_holes))
        }
        ReadFrom::Newest => {
            let slice = core.link.read(room, Part::Before(proto::position::SEQ_LIMIT), *limit).await?;
            Ok(plain(slice, newest_without_holes))
        }
    }
}

/// Reads behind a position. Where that does not hold the events follow on another one, which is known only after
/// the reading; a second one begins there, and is good if the log still says the same.
async fn after(link: &Link, room: &RoomName, position: &Position, limit: u32) -> Result<Page, BusError> {
    let mut after = position.seq;
    for _ in 0..ATTEMPTS {
        let Some(slice) = link.read(room, Part::After(after), limit).await? else {
            let head = Head::none();
            let verdict = epoch::judge(position, &head, 1);
            return Ok(Page { verdict, events: Vec::new(), first: 1, head: head.position() });
        };
        let mut verdict = epoch::judge(position, &slice.head, slice.first);
        let start = match &verdict {
            Verdict::Holds => position.seq,
            Verdict::Reset { to, .. } => to.seq,
        };
        if start < after {
            after = start;
            continue;
        }
        let mut events = slice.events;
        events.retain(|event| event.position.seq > start);
        if let Some(first) = events.first()
            && first.position.seq > start + 1
        {
            // Somebody took events out by hand.
            let to = slice.head.at(first.position.seq - 1);
            verdict = Verdict::Reset { to, reason: ResetReason::Trimmed };
        }
        return Ok(Page {
            verdict,
            events: without_holes(events),
            first: slice.first,
            head: slice.head.position(),
        });
    }
    Err(BusError::unavailable("the log changes faster than it can be read"))
}

fn plain(slice: Option<Slice>, cut: fn(Vec<LogEvent>) -> Vec<LogEvent>) -> Page {
    match slice {
        Some(Slice { head, first, events, .. }) => {
            Page { verdict: Verdict::Holds, events: cut(events), first, head: head.position() }
        }
        None => Page { verdict: Verdict::Holds, events: Vec::new(), first: 1, head: Head::none().position() },
    }
}

/// The events up to the first hole.
fn without_holes(mut events: Vec<LogEvent>) -> Vec<LogEvent> {
    let hole = events.windows(2).position(|pair| pair[1].position.seq != pair[0].position.seq + 1);
    if let Some(hole) = hole {
        events.truncate(hole + 1);
    }
    events
}

/// The events behind the last hole.
fn newest_without_holes(mut events: Vec<LogEvent>) -> Vec<LogEvent> {
    let hole = events.windows(2).rposition(|pair| pair[1].position.seq != pair[0].position.seq + 1);
    match hole {
        Some(hole) => events.split_off(hole + 1),
        None => events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part whose reader died used to be waited for by everybody who asked for it, for ever.
    #[tokio::test]
    async fn a_reader_that_panics_lets_the_others_go() {
        let reads = Arc::new(Reads::new());
        let asked: Asked = (RoomName::parse("r").unwrap(), ReadFrom::Newest, 10);
        let (answer, waits) = oneshot::channel();
        reads.waiting.lock().insert(asked.clone(), vec![answer]);
        let (own, own_asked) = (Arc::clone(&reads), asked.clone());
        let reader = tokio::spawn(async move {
            guarded(&own, &own_asked, async { panic!("a fault") }).await;
        });
        assert!(reader.await.is_err());
        assert!(waits.await.is_err());
        assert!(reads.waiting.lock().is_empty(), "whoever asks next reads");
    }
}
