//! What the probes of one shard amount to: a state machine without I/O.
//!
//! A probe is a nonce that is published on a channel of this node's own. It is *answered* when the command was, and
//! *returned* when it came back over the subscription, which proves that everything published before it was delivered.
//!
//! Silence is counted in probes that went out after it and not in seconds. A process that stood still for a while, for
//! it was stopped or got no processor, finds old nonces when it goes on, and what came meanwhile is still in its
//! sockets: by the clock all paths would be dead. Tried: they were told so, and a good connection was opened anew.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::Health;

/// Probes that may go out after one that is without an answer; then a path is down.
pub(super) const PATIENCE: u32 = 4;

/// Nonces that are remembered: more than can be under way before a path is down, however often it was opened anew.
const NONCES: usize = 64;

/// What the probes have seen, and who waits for that.
pub(super) struct Pulse {
    state: Mutex<State>,
    /// Has it judged before the time.
    pub(super) wake: Notify,
    /// Has it probed before the time.
    pub(super) probe: Notify,
    /// Whether events may have been lost in every room.
    compare: AtomicBool,
    /// Has the heads compared before the time.
    pub(super) look: Notify,
}

struct State {
    health: Health,
    /// How many probes went out in time.
    beat: u64,
    /// The number that was published last.
    nonce: u64,
    /// What is not answered or has not returned, in the order of numbers.
    sent: VecDeque<Sent>,
    /// The newest nonce that was answered.
    answered: u64,
    /// The newest nonce that came back.
    returned: u64,
    /// When that one had been published.
    proof: Instant,
    /// Since when commands fail, and why.
    failed: Option<(Instant, String)>,
    /// The newest nonce when they did so last: only a later one proves that all is well again.
    doubted: u64,
}

struct Sent {
    number: u64,
    beat: u64,
    at: Instant,
    answered: bool,
}

/// What the probes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// All is well.
    Up,
    /// Commands were answered again a moment ago, and whether anything comes back is not known yet.
    Unknown,
    /// Commands are not answered, since then.
    Mute(Instant),
    /// Commands are answered, and nothing comes back.
    Deaf,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let health = Health {
            up: false,
            detail: "redis was not reached yet".to_owned(),
            down_since: Some(SystemTime::now()),
        };
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                health,
                beat: 0,
                nonce: 0,
                sent: VecDeque::new(),
                answered: 0,
                returned: 0,
                proof: now,
                failed: Some((now, "not yet".to_owned())),
                doubted: 0,
            }),
            wake: Notify::new(),
            probe: Notify::new(),
            compare: AtomicBool::new(false),
            look: Notify::new(),
        }
    }

    pub(super) fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// The number of a probe that goes out now; `in_time` when the interval has passed, and not before.
    pub(super) fn next(&self, in_time: bool, now: Instant) -> u64 {
        let mut state = self.state.lock();
        state.beat += u64::from(in_time);
        state.nonce += 1;
        let sent = Sent { number: state.nonce, beat: state.beat, at: now, answered: false };
        state.sent.push_back(sent);
        if state.sent.len() > NONCES {
            state.sent.pop_front();
        }
        state.nonce
    }

    /// The command that published a nonce was answered.
    pub(super) fn answered(&self, number: u64) {
        let mut state = self.state.lock();
        state.failed = None;
        state.answered = state.answered.max(number);
        if let Some(sent) = state.sent.iter_mut().find(|sent| sent.number == number) {
            sent.answered = true;
        }
        state.forget();
    }

    /// A nonce could not be published. Whether that says anything of the path: not when a later one could.
    pub(super) fn failed(&self, number: u64, why: String) -> bool {
        let mut state = self.state.lock();
        state.sent.retain(|sent| sent.number != number);
        if number < state.answered {
            return false;
        }
        state.fail(why);
        true
    }

    /// A nonce came back. A number that was not sent lately proves nothing.
    pub(super) fn returned(&self, number: u64) {
        let mut state = self.state.lock();
        let sent = state.sent.iter().find(|sent| sent.number == number).map(|sent| sent.at);
        let Some(at) = sent.filter(|_| number > state.returned) else { return };
        state.returned = number;
        state.proof = at;
        state.forget();
        drop(state);
        self.wake.notify_one();
    }

    /// What the probes amount to now.
    pub(super) fn judge(&self) -> Judgement {
        let mut state = self.state.lock();
        let late = |sent: &Sent| state.beat - sent.beat >= u64::from(PATIENCE);
        let hangs = state.sent.iter().find(|sent| sent.number > state.answered).is_some_and(late);
        let silent = state.sent.iter().find(|sent| sent.answered && sent.number > state.returned);
        let silent = silent.is_some_and(late);
        if hangs && state.failed.is_none() {
            state.fail("no answer in time".to_owned());
        }
        if let Some((since, why)) = &state.failed {
            let (since, detail) = (*since, format!("commands are not answered: {why}"));
            state.set_down(detail);
            return Judgement::Mute(since);
        }
        if silent {
            state.set_down("commands are answered, but what is published does not come back".to_owned());
            return Judgement::Deaf;
        }
        if state.returned <= state.doubted {
            return Judgement::Unknown;
        }
        state.health = Health { up: true, detail: "probes come back".to_owned(), down_since: None };
        Judgement::Up
    }

    /// Has the heads of all followed rooms compared.
    pub(super) fn compare_soon(&self) {
        self.compare.store(true, Ordering::Relaxed);
        self.look.notify_one();
    }

    /// Has them compared when it is time again.
    pub(super) fn compare_later(&self) {
        self.compare.store(true, Ordering::Relaxed);
    }

    /// Whether they are to be compared; asked once.
    pub(super) fn must_compare(&self) -> bool {
        self.compare.swap(false, Ordering::Relaxed)
    }

    /// Probes before the time, for something has changed.
    pub(super) fn probe_now(&self) {
        self.probe.notify_one();
    }
}

impl State {
    fn fail(&mut self, why: String) {
        let since = self.failed.take().map_or_else(Instant::now, |(since, _)| since);
        self.failed = Some((since, why));
        self.doubted = self.nonce;
    }

    fn set_down(&mut self, detail: String) {
        if self.health.up {
            // What was published until then is known to have been delivered.
            self.health.down_since = SystemTime::now().checked_sub(self.proof.elapsed());
        }
        self.health.up = false;
        self.health.detail = detail;
    }

    /// What is answered and has returned, or something later has, is of no more interest.
    fn forget(&mut self) {
        let returned = self.returned;
        self.sent.retain(|sent| !sent.answered || sent.number > returned);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// So many probes in time, each of which is answered and returns, or does not.
    fn probe(pulse: &Pulse, count: u32, answered: bool, returned: bool) -> Judgement {
        probe_at(pulse, Instant::now(), count, answered, returned)
    }

    fn probe_at(pulse: &Pulse, now: Instant, count: u32, answered: bool, returned: bool) -> Judgement {
        for _ in 0..count {
            let number = pulse.next(true, now);
            if answered {
                pulse.answered(number);
            }
            if returned {
                pulse.returned(number);
            }
        }
        pulse.judge()
    }

    #[test]
    fn a_path_is_up_when_a_nonce_has_come_back_and_down_when_four_have_not() {
        let pulse = Pulse::new();
        assert!(matches!(pulse.judge(), Judgement::Mute(_)));
        assert_eq!(probe(&pulse, 1, true, false), Judgement::Unknown);
        assert!(!pulse.health().up);
        assert_eq!(probe(&pulse, 1, true, true), Judgement::Up);
        assert_eq!(probe(&pulse, PATIENCE, true, false), Judgement::Up);
        assert_eq!(probe(&pulse, 1, true, false), Judgement::Deaf);
        assert_eq!(probe(&pulse, 1, true, true), Judgement::Up);
        assert_eq!(probe(&pulse, PATIENCE, false, false), Judgement::Up);
        assert!(matches!(probe(&pulse, 1, false, false), Judgement::Mute(_)));
    }

    /// What crawls comes back, but too late to be of use.
    #[test]
    fn nonces_that_return_too_late_are_bad_health() {
        let pulse = Pulse::new();
        assert_eq!(probe(&pulse, 1, true, true), Judgement::Up);
        probe(&pulse, PATIENCE, true, false);
        for late in 2..40 {
            assert_eq!(probe(&pulse, 1, true, false), Judgement::Deaf, "{late}");
            pulse.returned(late);
            assert_eq!(
                probe(&pulse, 0, true, false),
                Judgement::Up,
                "{late} returned with four on their way"
            );
        }
        probe(&pulse, 3, true, false);
        pulse.returned(40);
        assert_eq!(pulse.judge(), Judgement::Deaf, "it returned, but seven are on their way");
    }

    /// Nothing but time has passed since the last probe: this process was stopped.
    #[test]
    fn standing_still_is_not_silence() {
        let pulse = Pulse::new();
        let before = Instant::now() - Duration::from_mins(1);
        probe_at(&pulse, before, 1, true, true);
        probe_at(&pulse, before, 1, true, false);
        assert_eq!(probe(&pulse, 1, true, false), Judgement::Up);
    }

    #[test]
    fn an_error_is_bad_health_at_once_and_until_a_later_nonce_has_come_back() {
        let pulse = Pulse::new();
        assert_eq!(probe(&pulse, 1, true, true), Judgement::Up);
        let (early, late) = (pulse.next(true, Instant::now()), pulse.next(true, Instant::now()));
        assert!(pulse.failed(late, "refused".to_owned()));
        assert!(matches!(pulse.judge(), Judgement::Mute(_)));
        assert_eq!(pulse.health().detail, "commands are not answered: refused");
        pulse.answered(early);
        pulse.returned(early);
        assert_eq!(pulse.judge(), Judgement::Unknown, "it was published before");
        assert_eq!(probe(&pulse, 1, true, true), Judgement::Up);

        let early = pulse.next(true, Instant::now());
        probe(&pulse, 1, true, true);
        assert!(!pulse.failed(early, "of the connection before".to_owned()));
        assert_eq!(pulse.judge(), Judgement::Up);
    }

    /// Probes before the time are no sign of time having passed.
    #[test]
    fn reconnects_do_not_count_as_silence() {
        let pulse = Pulse::new();
        probe(&pulse, 1, true, true);
        for _ in 0..2 * NONCES {
            let number = pulse.next(false, Instant::now());
            pulse.answered(number);
        }
        assert_eq!(pulse.judge(), Judgement::Up);
        assert!(pulse.state.lock().sent.len() <= NONCES);
    }

    #[test]
    fn a_path_is_down_since_the_last_proof() {
        let pulse = Pulse::new();
        let begun = pulse.health().down_since.expect("it was never up");
        assert!(begun.elapsed().unwrap().as_secs() < 60);
        let before = Instant::now() - Duration::from_secs(100);
        assert_eq!(probe_at(&pulse, before, 1, true, true), Judgement::Up);
        assert_eq!(pulse.health().down_since, None);
        assert_eq!(probe(&pulse, PATIENCE + 1, true, false), Judgement::Deaf);
        let since = pulse.health().down_since.expect("it is down");
        let ago = SystemTime::now().duration_since(since).unwrap().as_secs();
        assert!((100..160).contains(&ago), "{ago}");
        probe(&pulse, 1, true, false);
        assert_eq!(pulse.health().down_since, Some(since), "it stays until the path is up");
    }

    #[test]
    fn numbers_that_were_not_sent_prove_nothing() {
        let pulse = Pulse::new();
        probe(&pulse, 1, true, false);
        for number in [0, 2, 999_999] {
            pulse.returned(number);
        }
        assert_eq!(pulse.judge(), Judgement::Unknown);
    }
}
