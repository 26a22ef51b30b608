//! Read receipts: the first goes to the bus at once, and those that come while it is under way are gathered.

use std::{collections::HashMap, time::Duration};

use bus::{BusError, Marked};
use parking_lot::Mutex;
use proto::{ErrorCode, Position, UserId};
use tokio::{
    sync::oneshot::{self, error::RecvError},
    time::sleep,
};

use crate::{presence::Rule, refusal::Refusal, rooms::Claim};

/// How many markers are moved, and told of, at once.
const AT_ONCE: usize = 500;

/// The shortest time between two such rounds of a room.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of a marker.
pub type Outcome = Result<Marked, BusError>;

/// Whether a marker is where it should be, by what [`mark`] gives.
///
/// # Errors
/// When it is not, or nobody knows.
pub fn judge(outcome: &Result<Outcome, RecvError>) -> Result<(), Refusal> {
    match outcome {
        Ok(Ok(Marked::Moved | Marked::Behind)) => Ok(()),
        Ok(Ok(Marked::Gone)) => Err(Refusal::NOT_FOUND),
        Ok(Err(_)) | Err(_) => {
            Err(Refusal::new(ErrorCode::Unavailable, "not known to be noted: send it again").after(1000))
        }
    }
}

/// A room's markers that are about to be moved.
#[derive(Debug, Default)]
pub struct Receipts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// For each user how far, and who wants to know what came of it.
    waiting: HashMap<UserId, (Position, Vec<oneshot::Sender<Outcome>>)>,
    /// Somebody moves them.
    moving: bool,
}

/// Moves a user's marker in a room of which `share` gives a share, should somebody have to be sent there.
pub fn mark(
    receipts: &Receipts,
    user: &UserId,
    place: Position,
    share: impl FnOnce() -> Claim,
) -> oneshot::Receiver<Outcome> {
    let (answer, outcome) = oneshot::channel();
    let mut state = receipts.state.lock();
    let (furthest, answers) =
        state.waiting.entry(user.clone()).or_insert_with(|| (place.clone(), Vec::new()));
    if furthest.epoch != place.epoch || furthest.seq < place.seq {
        *furthest = place;
    }
    answers.push(answer);
    if !std::mem::replace(&mut state.moving, true) {
        drop(state);
        tokio::spawn(run(share()));
    }
    outcome
}

/// Moves markers and tells of them, until none is left.
async fn run(claim: Claim) {
    let (room, rooms) = (claim.room(), claim.rooms());
    let most = Rule::of(&rooms.config(), &room.name).most;
    loop {
        let (mut places, mut answers) = (Vec::new(), Vec::new());
        {
            let mut state = room.receipts.state.lock();
            let some: Vec<_> = state.waiting.keys().take(AT_ONCE).cloned().collect();
            for user in some {
                if let Some((place, waiting)) = state.waiting.remove(&user) {
                    places.push((user, place));
                    answers.push(waiting);
                }
            }
            state.moving = !places.is_empty();
        }
        if places.is_empty() {
            return;
        }
        let tell = room.roster.shows_markers(most);
        let marked = rooms.bus().mark_read(&room.name, &places, tell).await;
        for (index, answers) in answers.into_iter().enumerate() {
            let outcome = marked.as_ref().map_err(Clone::clone).map(|marked| marked[index]);
            // Whoever is gone does not want to know any more.
            answers.into_iter().for_each(|answer| drop(answer.send(outcome.clone())));
        }
        sleep(PAUSE).await;
    }
}
