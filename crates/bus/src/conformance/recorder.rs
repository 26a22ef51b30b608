//! A follower that writes down what it is told, and checks the order of it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proto::{Position, server::ResetReason};

use crate::{Follower, LogEvent};

/// Writes down what it is told. An event that does not follow on the one before is a panic in the next look at it.
#[derive(Default)]
pub struct Recorder(Mutex<View>);

#[derive(Default)]
struct View {
    started: Option<Position>,
    seq: u64,
    events: Vec<LogEvent>,
    ephemeral: Vec<Bytes>,
    presence: Vec<(u64, Bytes)>,
    resets: Vec<(Position, ResetReason)>,
    broken: Option<String>,
}

impl Recorder {
    /// One that was told nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Where the following began.
    pub fn started(&self) -> Option<Position> {
        self.look(|view| view.started.clone())
    }

    /// The events of the log as it is believed to be: what was lost with a fork, or with the log, is not among them.
    pub fn events(&self) -> Vec<LogEvent> {
        self.look(|view| view.events.clone())
    }

    /// The bodies of these.
    pub fn bodies(&self) -> Vec<String> {
        super::bodies(&self.events())
    }

    /// Every reset.
    pub fn resets(&self) -> Vec<(Position, ResetReason)> {
        self.look(|view| view.resets.clone())
    }

    /// Every frame that was not logged.
    pub fn ephemeral(&self) -> Vec<Bytes> {
        self.look(|view| view.ephemeral.clone())
    }

    /// Every change of who is there, with its version.
    pub fn presence(&self) -> Vec<(u64, Bytes)> {
        self.look(|view| view.presence.clone())
    }

    /// Waits until an event with this body is the last.
    pub async fn until_last(&self, body: &str) {
        self.until(&format!("the event {body:?}"), |bodies| bodies.last().is_some_and(|last| last == body))
            .await;
    }

    /// Waits until the bodies are as they should be.
    pub async fn until(&self, what: &str, right: impl Fn(&[String]) -> bool) {
        super::until(what, async || {
            let bodies = self.bodies();
            if right(&bodies) { Ok(()) } else { Err(format!("{bodies:?}, {:?}", self.resets())) }
        })
        .await;
    }

    /// Waits until there was a reset, and gives the last.
    pub async fn until_reset(&self) -> (Position, ResetReason) {
        super::until("a reset", async || self.resets().pop().ok_or_else(|| format!("{:?}", self.bodies())))
            .await
    }

    fn look<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        let view = self.0.lock();
        if let Some(broken) = &view.broken {
            panic!("{broken}");
        }
        look(&view)
    }

    /// A follower must not panic, so what is wrong is kept for the next look.
    fn told(&self, tell: impl FnOnce(&mut View) -> Result<(), String>) {
        let mut view = self.0.lock();
        if let Err(broken) = tell(&mut view) {
            view.broken.get_or_insert(broken);
        }
    }
}

impl Follower for Recorder {
    fn start(&self, head: Position) {
        self.told(|view| {
            view.seq = head.seq;
            if view.started.replace(head).is_some() { Err("started twice".to_owned()) } else { Ok(()) }
        });
    }

    fn event(&self, event: LogEvent) {
        self.told(|view| {
            let (seq, before) = (event.position.seq, view.seq);
            view.seq = seq;
            view.events.push(event);
            if view.started.is_none() {
                return Err(format!("event {seq} came before start"));
            }
            if seq == before + 1 { Ok(()) } else { Err(format!("event {seq} came after {before}")) }
        });
    }

    fn ephemeral(&self, frame: Bytes) {
        self.told(|view| {
            view.ephemeral.push(frame);
            Ok(())
        });
    }

    fn presence(&self, version: u64, frame: Bytes) {
        self.told(|view| {
            let before = view.presence.last().map_or(0, |(version, _)| *version);
            view.presence.push((version, frame));
            if version > before { Ok(()) } else { Err(format!("presence {version} came after {before}")) }
        });
    }

    fn reset(&self, to: Position, reason: ResetReason) {
        self.told(|view| {
            match reason {
                ResetReason::Forked => view.events.retain(|event| event.position.seq <= to.seq),
                ResetReason::New => view.events.clear(),
                ResetReason::Trimmed => {}
            }
            view.seq = to.seq;
            view.resets.push((to, reason));
            Ok(())
        });
    }
}
