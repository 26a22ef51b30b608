//! A worker: one thread, one loop, its share of the connections.

mod incoming;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use rustls::ClientConfig;

use crate::clock::now;
use crate::connection::{Connection, Stage};
use crate::dialect::{Dialect, speak};
use crate::plan::{Pace, Phase, Plan};
use crate::sample;
use crate::schedule::Schedule;
use crate::secure;
use crate::stamp::Finder;
use crate::talk::{Order, Report};
use crate::tally::{Counts, histogram, pack};
use crate::wire::{self, Opcode};

/// What one read may bring: the longest frame that a server sends, and the rest of another.
const BUFFER: usize = 2 * 1024 * 1024;

/// Slow readers read a tenth of 1 KiB ten times a second.
const SLOW_BYTES: usize = 102;
const SLOW_EVERY: u64 = 100_000_000;

/// The parent's orders have come.
const ORDERS: Token = Token(usize::MAX);

/// Something is due.
const TIMER: Token = Token(usize::MAX - 1);

/// When no handshake has ended for so long, those under way hang, in nanoseconds.
const HANG: u64 = 30_000_000_000;

/// How often it is looked whether a phase is over, in nanoseconds.
const LOOK: u64 = 20_000_000;

/// A worker's whole state.
struct Worker {
    poll: Poll,
    /// Wakes the loop: the time that `poll` itself takes is whole milliseconds, as much as a delivery takes.
    timer: OwnedFd,
    plan: Plan,
    tls: Option<Arc<ClientConfig>>,
    dialect: Box<dyn Dialect>,
    connections: Vec<Connection>,
    /// The number of the first connection.
    first: u32,
    /// Those that have not been opened yet, or are to be opened again, the next one last.
    waiting: Vec<usize>,
    /// Handshakes under way.
    opening: u32,
    /// When one of them began or ended.
    moved_at: u64,
    /// Joins that the server put off: when to try again, which connection, and the room.
    put_off: BinaryHeap<Reverse<(u64, usize, u32)>>,
    /// What it said when it put one off.
    put_off_with: Option<String>,
    /// Why the first connection that did not come in did not.
    refused: Option<String>,
    buffer: Box<[u8]>,
    finder: Finder,
    /// A message as it goes out.
    text: Vec<u8>,
    frame: Vec<u8>,
    slow: Vec<usize>,
    slow_next: u64,
    play: Play,
}

/// The phase that is on.
struct Play {
    schedule: Schedule,
    counts: Counts,
    latencies: Histogram<u64>,
    /// When the last delivery came.
    last: u64,
    expected: Option<u64>,
    /// When a storm began that is not over.
    cut_at: Option<u64>,
    cpu: f64,
    on: bool,
}

impl Play {
    fn none(senders: Vec<u32>, rooms: u32) -> Self {
        Self {
            schedule: Schedule::new(senders, rooms),
            counts: Counts::default(),
            latencies: histogram(),
            last: 0,
            expected: None,
            cut_at: None,
            cpu: 0.0,
            on: false,
        }
    }
}

/// Does what the parent orders on standard input, until that ends.
pub fn run() -> Result<(), String> {
    let mut poll = Poll::new().map_err(text)?;
    let waker = Waker::new(poll.registry(), ORDERS).map_err(text)?;
    let (orders, inbox) = channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if orders.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(orders);
        // Whoever waits for the next order sees that there is none.
        let _ = waker.wake();
    });
    let (plan, first, end) = loop {
        let _ = poll.poll(&mut Events::with_capacity(1), None);
        match inbox.try_recv() {
            Ok(line) => match serde_json::from_str(&line).map_err(text)? {
                Order::Open { plan, first, end, core } => {
                    if let Some(core) = core {
                        sample::stay_on(core)?;
                    }
                    break (plan, first, end);
                }
                other => return Err(format!("first of all come the connections, not {other:?}")),
            },
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    };
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK).map_err(text)?;
    let source = timer.as_raw_fd();
    poll.registry().register(&mut SourceFd(&source), TIMER, Interest::READABLE).map_err(text)?;
    Worker::new(poll, timer, plan, first, end)?.keep(&inbox)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Tells the parent.
fn report(report: &Report) -> Result<(), String> {
    let line = serde_json::to_string(report).map_err(text)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(text)
}

impl Worker {
    fn new(poll: Poll, timer: OwnedFd, plan: Plan, first: u32, end: u32) -> Result<Self, String> {
        let connections: Vec<Connection> = (first..end).map(|it| Connection::new(&plan, it)).collect();
        let odd = |pace| {
            let all = connections.iter().enumerate();
            all.filter(|(_, it)| it.pace == pace).map(|(index, _)| index).collect::<Vec<_>>()
        };
        let slow = odd(Pace::Slow);
        let senders = (first..end).filter(|it| plan.sends(*it)).collect();
        Ok(Self {
            poll,
            timer,
            tls: plan.ca.as_deref().map(secure::trusting).transpose()?,
            dialect: speak(&plan),
            waiting: (0..connections.len()).rev().collect(),
            opening: 0,
            moved_at: now(),
            put_off: BinaryHeap::new(),
            put_off_with: None,
            refused: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            finder: Finder::default(),
            text: Vec::new(),
            frame: Vec::new(),
            slow,
            slow_next: 0,
            play: Play::none(senders, plan.rooms),
            connections,
            first,
            plan,
        })
    }

    /// The loop.
    fn keep(&mut self, inbox: &Receiver<String>) -> Result<(), String> {
        let began = now();
        let mut events = Events::with_capacity(4096);
        let mut opened = false;
        loop {
            self.open_more();
            self.join_again();
            if !opened && self.waiting.is_empty() && self.opening == 0 {
                opened = true;
                self.say_opened(began)?;
            }
            self.send_due();
            self.read_slowly();
            self.end_phase()?;
            self.wake_me()?;
            self.poll.poll(&mut events, None).or_else(|error| {
                if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(text(error)) }
            })?;
            for event in &events {
                if event.token() != ORDERS && event.token() != TIMER {
                    self.serve(event.token().0, event.is_readable(), event.is_writable());
                }
            }
            loop {
                match inbox.try_recv() {
                    Ok(line) => match serde_json::from_str(&line).map_err(text)? {
                        Order::Play(phase) => self.begin(phase),
                        Order::Expect { deliveries } => self.play.expected = Some(deliveries),
                        Order::Open { .. } => return Err("the connections are open".to_owned()),
                    },
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    /// Has the loop woken when something is due.
    fn wake_me(&self) -> Result<(), String> {
        let mut until = now() + LOOK;
        if let Some(due) = self.play.schedule.next_due() {
            until = until.min(due);
        }
        if !self.slow.is_empty() {
            until = until.min(self.slow_next);
        }
        let wait = Timespec {
            tv_sec: 0,
            // A time of zero would be none.
            tv_nsec: until.saturating_sub(now()).max(1).cast_signed(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: wait };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).map(|_| ()).map_err(text)
    }

    fn open_more(&mut self) {
        if self.opening > 0 && now() > self.moved_at + HANG {
            for index in 0..self.connections.len() {
                if !matches!(self.connections[index].stage, Stage::Live | Stage::Closed) {
                    let stage = self.connections[index].stage;
                    let words = self.put_off_with.as_deref().unwrap_or("nothing");
                    let reason =
                        format!("not in after half a minute, {stage:?}; joins were put off with {words}");
                    self.lost(index, &reason);
                }
            }
        }
        while self.opening < self.plan.in_flight {
            let Some(index) = self.waiting.pop() else { return };
            let connection = &mut self.connections[index];
            let interest = Interest::READABLE | Interest::WRITABLE;
            let begun = connection
                .connect(&self.plan, self.tls.as_ref())
                .and_then(|socket| self.poll.registry().register(socket, Token(index), interest));
            self.opening += 1;
            self.moved_at = now();
            if let Err(error) = begun {
                self.lost(index, &error.to_string());
            }
        }
    }

    /// Tries the joins again whose time has come.
    fn join_again(&mut self) {
        while let Some(&Reverse((due, index, room))) = self.put_off.peek()
            && due <= now()
        {
            self.put_off.pop();
            let connection = &mut self.connections[index];
            if !matches!(connection.stage, Stage::Joining(_)) {
                continue;
            }
            let join = self.dialect.join(room, connection.positions.get(&room), b"");
            if let Err(error) = connection.say(&join) {
                self.lost(index, &error.to_string());
            }
        }
    }

    fn say_opened(&self, began: u64) -> Result<(), String> {
        let mut members = vec![0; self.plan.rooms as usize];
        let live = self.connections.iter().filter(|it| it.stage == Stage::Live);
        for connection in live.clone().filter(|it| it.pace == Pace::Prompt) {
            self.plan.rooms_of(connection.number).for_each(|room| members[room as usize] += 1);
        }
        report(&Report::Opened {
            members,
            live: live.count() as u64,
            seconds: (now() - began) as f64 / 1e9,
            put_off: self.play.counts.put_off,
            refused: self.refused.clone(),
        })
    }

    /// Begins a phase.
    fn begin(&mut self, phase: Phase) {
        let share =
            self.play.schedule.senders() as f64 / f64::from(self.plan.senders * self.plan.rooms).max(1.0);
        self.play.counts = Counts::default();
        self.play.latencies.reset();
        self.play.expected = None;
        self.play.last = 0;
        self.play.on = true;
        self.play.cpu = sample::own_cpu();
        self.play.schedule.begin(phase, share, self.plan.closed_loop);
        if phase.storm {
            self.play.cut_at = Some(now());
            for index in 0..self.connections.len() {
                let connection = &mut self.connections[index];
                let spared = self.plan.sends(connection.number) || connection.pace != Pace::Prompt;
                if !spared && connection.stage == Stage::Live {
                    connection.cut();
                    self.waiting.push(index);
                }
            }
        }
    }

    /// Sends what is due.
    fn send_due(&mut self) {
        let time = now();
        while let Some(stamp) = self.play.schedule.due(time) {
            self.play.counts.behind_us = self.play.counts.behind_us.max((time - stamp.due) / 1000);
            self.text.clear();
            self.dialect.message(&stamp, self.plan.size as usize, &mut self.text);
            self.frame.clear();
            wire::put(&mut self.frame, Opcode::Text, &self.text);
            let index = (stamp.sender - self.first) as usize;
            if self.connections[index].stage != Stage::Live {
                continue;
            }
            self.play.counts.sent += 1;
            self.play.schedule.sent(&stamp);
            if let Err(error) = self.connections[index].send(&self.frame) {
                self.lost(index, &error.to_string());
            }
        }
    }

    fn read_slowly(&mut self) {
        let time = now();
        if self.slow.is_empty() || time < self.slow_next {
            return;
        }
        self.slow_next = time + SLOW_EVERY;
        for nth in 0..self.slow.len() {
            if self.connections[self.slow[nth]].stage == Stage::Live {
                self.read(self.slow[nth], SLOW_BYTES);
            }
        }
    }

    /// Tells when the time of sending is over, and when everything has come.
    fn end_phase(&mut self) -> Result<(), String> {
        if !self.play.on {
            return Ok(());
        }
        let time = now();
        if let Some(rooms) = self.play.schedule.ended(time) {
            report(&Report::Sent { rooms })?;
        }
        let storm_over = self.play.cut_at.is_none_or(|_| self.waiting.is_empty() && self.opening == 0);
        if storm_over && let Some(cut_at) = self.play.cut_at.take() {
            self.play.counts.back_s = (time - cut_at) as f64 / 1e9;
        }
        let Some(expected) = self.play.expected else { return Ok(()) };
        let complete = storm_over && self.play.counts.delivered >= expected;
        if complete || time > self.play.schedule.drained() {
            self.play.on = false;
            self.play.counts.expected = expected;
            self.play.counts.cpu_s = sample::own_cpu() - self.play.cpu;
            report(&Report::Done {
                counts: Box::new(self.play.counts.clone()),
                latencies: pack(&self.play.latencies),
                last: self.play.last,
            })?;
        }
        Ok(())
    }

    /// A connection is over that should not be.
    fn lost(&mut self, index: usize, reason: &str) {
        let connection = &mut self.connections[index];
        let was = connection.stage;
        connection.cut();
        if was != Stage::Live {
            self.opening -= 1;
            self.moved_at = now();
            self.refused.get_or_insert_with(|| reason.to_owned());
        }
        self.play.counts.closed += 1;
        self.play.counts.first_close.get_or_insert_with(|| reason.to_owned());
    }
}
