//! A log that forks, is flushed and trimmed, and a channel that drops, repeats and shuffles: whatever happens, a
//! follower ends with the log's truth, each event once and in order, or was told that it can't have it.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    Key,
    epoch::{self, Lineage},
};

/// Events in one reading: few, so that holes take several.
const PAGE: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    /// The log grows by an event, which is published or lost.
    Append {
        heard: bool,
    },
    /// The server starts again and loses so many events.
    Restart {
        lost: usize,
    },
    Flush,
    Trim(u64),
    /// The server before the last restart goes on as if nothing had happened.
    StaleAppend,
    /// A stranger publishes something.
    Bogus {
        ahead: u64,
        generation: u8,
        foreign: bool,
    },
    /// The channel.
    Deliver(usize),
    Drop,
    Repeat(usize),
    Swap(usize),
    /// The log is read, and the answer comes later, or not at all.
    BeginRead,
    EndRead,
    FailRead,
    /// The head is asked for, and the answer comes later.
    AskHead,
    TellHead {
        eager: bool,
    },
    Tick,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => any::<bool>().prop_map(|heard| Act::Append { heard }),
        1 => (0..6_usize).prop_map(|lost| Act::Restart { lost }),
        1 => Just(Act::Flush),
        1 => (1..5_u64).prop_map(Act::Trim),
        1 => Just(Act::StaleAppend),
        1 => (0..4_u64, 0..4_u8, any::<bool>())
            .prop_map(|(ahead, generation, foreign)| Act::Bogus { ahead, generation, foreign }),
        8 => (1..4_usize).prop_map(Act::Deliver),
        2 => Just(Act::Drop),
        2 => (0..20_usize).prop_map(Act::Repeat),
        2 => (0..5_usize).prop_map(Act::Swap),
        4 => Just(Act::BeginRead),
        4 => Just(Act::EndRead),
        1 => Just(Act::FailRead),
        2 => Just(Act::AskHead),
        2 => any::<bool>().prop_map(|eager| Act::TellHead { eager }),
        2 => Just(Act::Tick),
    ]
}

struct World {
    bases: u32,
    servers: u32,
    server: u32,
    bodies: u64,
    lineage: Vec<(String, u64)>,
    /// All of the branch, from 1 on; what is trimmed is true all the same.
    log: Vec<LogEvent>,
    first: u64,
    /// Where the server before the last restart stands.
    stale: Option<(String, u64)>,
    published: Vec<LogEvent>,
    channel: VecDeque<LogEvent>,
    reading: Option<Slice>,
    asked: Option<(Position, u64)>,
    tracker: Tracker,
    out: Outcome,
    view: Vec<LogEvent>,
    tail: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            bases: 0,
            servers: 0,
            server: 0,
            bodies: 0,
            lineage: Vec::new(),
            log: Vec::new(),
            first: 1,
            stale: None,
            published: Vec::new(),
            channel: VecDeque::new(),
            reading: None,
            asked: None,
            tracker: Tracker::new(),
            out: Outcome::default(),
            view: Vec::new(),
            tail: 0,
        };
        world.begin();
        world.tracker.started(world.head(), &mut world.out);
        world
    }

    fn begin(&mut self) {
        self.bases += 1;
        self.lineage = vec![(format!("0-{}", self.server), 1)];
        self.log.clear();
        self.first = 1;
    }

    fn head(&self) -> Head {
        let text: Vec<String> = self.lineage.iter().map(|(name, first)| format!("{name}:{first}")).collect();
        let lineage = Lineage::parse(&text.join(" ")).unwrap();
        Head { base: format!("base{}", self.bases).into(), seq: self.log.len() as u64, lineage }
    }

    fn event(&mut self, epoch: Epoch, seq: u64) -> LogEvent {
        self.bodies += 1;
        let body = Bytes::from(self.bodies.to_string());
        LogEvent { position: Position { epoch, seq }, key: Key::from_bytes(Bytes::new()), body, trace: None }
    }

    fn append(&mut self, heard: bool) {
        let seq = self.log.len() as u64 + 1;
        let (newest, _) = self.lineage.last().unwrap();
        let (number, server) = newest.split_once('-').unwrap();
        if server != self.server.to_string() {
            let number: u64 = number.parse().unwrap();
            self.lineage.push((format!("{}-{}", number + 1, self.server), seq));
            if self.lineage.len() > Lineage::KEPT {
                self.lineage.remove(0);
            }
        }
        let event = self.event(self.head().position().epoch, seq);
        self.log.push(event.clone());
        self.published.push(event.clone());
        if heard {
            self.channel.push_back(event);
        }
    }

    fn restart(&mut self, lost: usize) {
        let head = self.head();
        self.stale = Some((head.position().epoch.to_string(), head.seq));
        self.servers += 1;
        self.server = self.servers;
        let kept = self.log.len().saturating_sub(lost);
        self.log.truncate(kept);
        self.first = self.first.min(kept as u64 + 1);
        // A snapshot has the lineage of its time.
        while self.lineage.len() > 1 && self.lineage.last().unwrap().1 > kept as u64 {
            self.lineage.pop();
        }
    }

    fn slice(&self, after: u64) -> Slice {
        let events = self.log.iter().filter(|event| event.position.seq > after.max(self.first - 1));
        Slice { head: self.head(), first: self.first, after, events: events.take(PAGE).cloned().collect() }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Append { heard } => self.append(heard),
            Act::Restart { lost } => self.restart(lost),
            Act::Flush => self.begin(),
            Act::Trim(count) => self.first = (self.first + count).min(self.log.len() as u64 + 1),
            Act::StaleAppend => {
                if let Some((epoch, seq)) = self.stale.take() {
                    let event = self.event(Epoch::parse(&epoch).unwrap(), seq + 1);
                    self.stale = Some((epoch, seq + 1));
                    self.channel.push_back(event);
                }
            }
            Act::Bogus { ahead, generation, foreign } => {
                let base = if foreign { 1000 } else { self.bases };
                let epoch = epoch::epoch(&format!("base{base}"), &format!("{generation}-bogus"));
                let event = self.event(epoch, self.log.len() as u64 + ahead);
                self.channel.push_back(event);
            }
            Act::Deliver(count) => (0..count).for_each(|_| self.deliver()),
            Act::Drop => drop(self.channel.pop_front()),
            Act::Repeat(back) => {
                let repeated = self.published.iter().rev().nth(back).cloned();
                self.channel.extend(repeated);
            }
            Act::Swap(at) => {
                if at + 1 < self.channel.len() {
                    self.channel.swap(at, at + 1);
                }
            }
            Act::BeginRead => {
                if let Some(after) = self.tracker.begin_read() {
                    self.reading = Some(self.slice(after));
                }
            }
            Act::EndRead => {
                if let Some(slice) = self.reading.take() {
                    self.tracker.page(slice, &mut self.out);
                }
            }
            Act::FailRead => {
                if self.reading.take().is_some() {
                    self.tracker.read_failed();
                }
            }
            Act::AskHead => self.asked = Some((self.head().position(), self.tracker.tail())),
            Act::TellHead { eager } => {
                if let Some((head, least)) = self.asked.take() {
                    self.tracker.observe(&Observation { head: Some(&head), least, eager });
                }
            }
            Act::Tick => self.tracker.tick(),
        }
        self.look();
    }

    fn deliver(&mut self) {
        if let Some(event) = self.channel.pop_front() {
            self.tracker.event(event, &mut self.out);
        }
    }

    /// Follows what the follower is told, and that it follows.
    fn look(&mut self) {
        for step in self.out.steps.drain(..) {
            match step {
                Step::Event(event) => {
                    assert_eq!(event.position.seq, self.tail + 1, "a hole or a repeat");
                    self.tail += 1;
                    self.view.push(event);
                }
                Step::Reset(to, reason) => {
                    match reason {
                        ResetReason::Forked => self.view.retain(|event| event.position.seq <= to.seq),
                        ResetReason::New => self.view.clear(),
                        ResetReason::Trimmed => assert!(to.seq > self.tail, "trimmed, but backwards"),
                    }
                    self.tail = to.seq;
                }
            }
        }
        assert_eq!(self.tail, self.tracker.tail());
    }

    /// The world calms down: what is under way arrives or is lost, and probes and readings come through.
    fn settle(&mut self, deliver_rest: bool, eager: bool) {
        if deliver_rest {
            self.act(&Act::Deliver(self.channel.len()));
        }
        self.channel.clear();
        self.act(&Act::EndRead);
        // Everything a probe does, as often as it may need: a longer log takes more pages.
        for _ in 0..10 + self.log.len() {
            self.act(&Act::AskHead);
            self.act(&Act::TellHead { eager });
            self.act(&Act::Tick);
            self.act(&Act::BeginRead);
            self.act(&Act::EndRead);
        }
        assert!(!self.tracker.wants_read(), "never level again");
        assert_eq!(self.tail, self.log.len() as u64, "the follower is not at the head");
        for event in &self.view {
            let truth = &self.log[event.position.seq as usize - 1];
            assert_eq!(event, truth, "the follower believes what is not so");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_follower_ends_with_the_truth(acts in prop::collection::vec(act(), 0..120), deliver_rest: bool, eager: bool) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.settle(deliver_rest, eager);
    }
}
