//! One client of the crowd.

mod amend;
mod dial;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::rooms::{Seat, stray};
use super::{Clock, Doors, Live, Orders, Pace, ROOMS, ROOMS_EACH};
use crate::chaos::history::{Entry, History, What};
use crate::chaos::random::Random;
use amend::{Deed, Said};
use dial::{DIALING, Socket};

/// Between two messages.
const SENDING: Duration = Duration::from_millis(250);
/// Between two looks at what is due.
const LOOKING: Duration = Duration::from_millis(25);
/// Between two pings.
const PINGING: Duration = Duration::from_secs(1);
/// A node that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(4);
/// A request without an answer is made again after so long: longer than a gateway waits for Redis.
const ANSWER: Duration = Duration::from_secs(7);
/// Messages that may wait for their `ok`; fewer than a gateway takes at once.
const WAITING: usize = 40;
/// Every so many members, one leaves a room now and then and joins it again.
const WANDERERS: usize = 6;
/// Every so many members, one asks for no echo. None of them wanders: an `ok` that comes when its room was left and
/// joined again could be of either stay.
const QUIET: usize = 3;
/// Every so many looks at what is due it tells how far it has read.
const READING: usize = 60;
/// Messages that every second member asks for when it comes into a room of which it knows nothing.
const RECENT: u64 = 10;

/// A message, or what is done to one, that is not known to be appended.
struct Pending {
    room: Arc<str>,
    id: Arc<str>,
    what: Deed,
    sent: u64,
    /// Attempts until now, to tell whose answer comes.
    attempts: u64,
    due: Instant,
}

/// Why a connection is left.
enum Left {
    /// It ended, or it was cut; come back after this.
    Ended(Duration),
    /// The run is over.
    Stop,
}

pub(super) struct Member {
    number: usize,
    user: Arc<str>,
    token: String,
    doors: Doors,
    orders: watch::Receiver<Orders>,
    live: Arc<Live>,
    clock: Clock,
    random: Random,
    seats: Vec<Seat>,
    /// When a join is to be sent, by the seat's index.
    joins: BTreeMap<usize, Instant>,
    pending: BTreeMap<u64, Pending>,
    /// The last that it said and may still change.
    said: VecDeque<Said>,
    next: u64,
    door: usize,
    failures: u32,
    prompt: bool,
    cuts: u64,
    entries: Vec<Entry>,
}

impl Member {
    pub(super) fn new(
        number: usize,
        doors: Doors,
        orders: watch::Receiver<Orders>,
        live: Arc<Live>,
        clock: Clock,
        seed: u64,
    ) -> Self {
        let recent = if number.is_multiple_of(2) { RECENT } else { 0 };
        let seats: Vec<Seat> =
            (0..ROOMS_EACH).map(|step| Seat::new((number + step) % ROOMS, recent)).collect();
        for (seat, live) in seats.iter().zip(&live.rooms) {
            live.number.store(seat.number, Ordering::Relaxed);
        }
        let user = super::user(number);
        Self {
            number,
            token: crate::token(&user),
            user,
            doors,
            orders,
            live,
            clock,
            random: Random::new(seed ^ ((number as u64) << 32)),
            seats,
            joins: BTreeMap::new(),
            pending: BTreeMap::new(),
            said: VecDeque::new(),
            next: 0,
            // Not in step with the rooms: every room has members on every node.
            door: number / ROOMS + number,
            failures: 0,
            prompt: true,
            cuts: 0,
            entries: Vec::new(),
        }
    }

    pub(super) async fn run(mut self) -> History {
        while !self.orders.borrow().stop {
            let pause = match timeout(DIALING, self.dial()).await {
                Ok(Some(socket)) => match self.stay(socket).await {
                    Left::Ended(pause) => pause,
                    Left::Stop => break,
                },
                _ => self.backoff(),
            };
            self.door += 1;
            sleep(pause).await;
        }
        History { user: self.user, entries: self.entries }
    }

    /// Whether the `ok`s of what it says stand in the events' places.
    fn quiet(&self) -> bool {
        self.number % QUIET == 1
    }

    fn backoff(&mut self) -> Duration {
        self.failures = (self.failures + 1).min(5);
        let most = 25 << self.failures;
        Duration::from_millis(self.random.within(most / 2..=most))
    }

    fn record(&mut self, what: What) {
        self.entries.push(Entry { at: self.clock.now(), what });
    }

    /// Talks and listens until the connection ends.
    async fn stay(&mut self, mut socket: Socket) -> Left {
        let now = Instant::now();
        self.joins = (0..self.seats.len()).map(|index| (index, now)).collect();
        for pending in self.pending.values_mut() {
            // Whether they arrived is not known: the same id again is safe.
            pending.due = now;
        }
        let port = socket.get_ref().peer_addr().map_or(0, |addr| addr.port());
        self.live.port.store(port, Ordering::Relaxed);
        let left = self.talk(&mut socket).await;
        self.live.port.store(0, Ordering::Relaxed);
        for (seat, live) in self.seats.iter_mut().zip(&self.live.rooms) {
            seat.joined = false;
            live.joined.store(false, Ordering::Relaxed);
        }
        left
    }

    async fn talk(&mut self, socket: &mut Socket) -> Left {
        let (mut sending, mut looking, mut pinging) =
            (interval(SENDING), interval(LOOKING), interval(PINGING));
        for ticks in [&mut sending, &mut looking, &mut pinging] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let (mut heard, mut reads_at, mut pause) = (Instant::now(), Instant::now(), None);
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.stop {
                return Left::Stop;
            }
            if orders.cuts != self.cuts {
                self.cuts = orders.cuts;
                if orders.cut.includes(self.number) {
                    return self.ended(1006, "cut by the nemesis", Some(Duration::ZERO));
                }
            }
            let pace = if orders.paced.includes(self.number) { orders.pace } else { Pace::Prompt };
            if self.prompt != (pace == Pace::Prompt) {
                self.prompt = pace == Pace::Prompt;
                heard = Instant::now();
                self.record(What::Pace { prompt: self.prompt });
            }
            let reads = pace != Pace::Silent && Instant::now() >= reads_at;
            let outcome = tokio::select! {
                frame = socket.next(), if reads => {
                    heard = Instant::now();
                    if let Pace::Slow(each) = pace {
                        reads_at = heard + each;
                    }
                    match self.read(frame, &mut pause) {
                        Ok(false) => Ok(()),
                        // What answers a ping or a close is queued, and leaves with a flush.
                        Ok(true) => timeout(DIALING, socket.flush()).await.map_or(Ok(()), |sent| sent)
                            .map_err(|error| (1006, error.to_string())),
                        Err(end) => {
                            let _ = timeout(DIALING, socket.flush()).await;
                            Err(end)
                        }
                    }
                }
                _ = sending.tick(), if orders.talk => {
                    self.speak();
                    Ok(())
                }
                _ = looking.tick() => self.send_what_is_due(socket, orders).await,
                _ = pinging.tick() => {
                    if self.prompt && heard.elapsed() > PATIENCE {
                        Err((1006, "nothing was heard".to_owned()))
                    } else {
                        send(socket, &json!({ "type": "ping" })).await
                    }
                }
                changed = self.orders.changed() => changed.map_err(|error| (1006, error.to_string())),
            };
            if let Err((code, reason)) = outcome {
                return self.ended(code, &reason, pause);
            }
        }
    }

    fn ended(&mut self, code: u16, reason: &str, pause: Option<Duration>) -> Left {
        self.record(What::Disconnected { code, reason: reason.to_owned() });
        Left::Ended(pause.unwrap_or_else(|| self.backoff()))
    }

    /// Takes what came from the socket; whether something is to be flushed. An error is the connection's end.
    fn read(
        &mut self,
        frame: Option<Result<Message, Error>>,
        pause: &mut Option<Duration>,
    ) -> Result<bool, (u16, String)> {
        match frame {
            Some(Ok(Message::Text(text))) => {
                let frame =
                    serde_json::from_str(&text).map_err(|error| (1007, format!("{error}: {text}")))?;
                self.take(&frame, pause);
                Ok(false)
            }
            Some(Ok(Message::Close(None))) => Err((1005, String::new())),
            Some(Ok(Message::Close(Some(close)))) => Err((close.code.into(), close.reason.to_string())),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err((1006, error.to_string())),
            None => Err((1006, "end of stream".to_owned())),
        }
    }

    /// Has something new to say, in a room that it is in.
    fn speak(&mut self) {
        let index = self.random.below(self.seats.len());
        if self.pending.len() < WAITING && self.seats[index].joined {
            self.submit(Arc::clone(&self.seats[index].room), Deed::Say);
            self.amend();
        }
    }

    fn submit(&mut self, room: Arc<str>, what: Deed) {
        self.next += 1;
        let id = format!("{}-{}", self.number, self.next).into();
        let pending = Pending { room, id, what, sent: self.clock.now(), attempts: 0, due: Instant::now() };
        self.pending.insert(self.next, pending);
        self.live.pending.store(self.pending.len(), Ordering::Relaxed);
    }

    async fn send_what_is_due(&mut self, socket: &mut Socket, orders: Orders) -> Result<(), (u16, String)> {
        let (now, echo) = (Instant::now(), !self.quiet());
        let Orders { padding, talk: wanders, .. } = orders;
        for (index, due) in &mut self.joins {
            if *due <= now {
                *due = now + ANSWER;
                send(socket, &self.seats[*index].join()).await?;
            }
        }
        for (number, pending) in &mut self.pending {
            let joined = self.seats.iter().any(|seat| seat.joined && seat.room == pending.room);
            if pending.due > now || !joined {
                continue;
            }
            pending.attempts += 1;
            pending.due = now + ANSWER;
            let what = What::Sent { room: Arc::clone(&pending.room), id: Arc::clone(&pending.id) };
            self.entries.push(Entry { at: self.clock.now(), what });
            let mut frame = pending.frame(padding);
            frame["ref"] = json!(format!("say {number} {}", pending.attempts));
            if !echo {
                frame["echo"] = json!(false);
            }
            send(socket, &frame).await?;
        }
        if self.random.below(READING) == 0 {
            // Where it stands, or a little before: markers never go back.
            let seat = &self.seats[self.random.below(self.seats.len())];
            if let Some(stand) = seat.stand.as_ref().filter(|_| seat.joined) {
                let seq = stand.seq.saturating_sub(self.random.within(0..=3)).max(1);
                let target = json!({ "epoch": *stand.epoch, "seq": seq });
                send(socket, &json!({ "type": "read", "room": *seat.room, "target": target })).await?;
            }
        }
        if wanders
            && self.number.is_multiple_of(WANDERERS)
            && self.joins.is_empty()
            && self.random.below(100) == 0
        {
            let room = &self.seats[self.random.below(self.seats.len())].room;
            send(socket, &json!({ "type": "leave", "room": **room, "ref": format!("leave {room}") })).await?;
        }
        Ok(())
    }

    fn take(&mut self, frame: &Value, pause: &mut Option<Duration>) {
        let retry_after = frame["retry_after_ms"].as_u64().map(Duration::from_millis);
        let index = self.seats.iter().position(|seat| frame["room"].as_str() == Some(&*seat.room));
        let reference = frame["ref"].as_str().unwrap_or_default();
        match (frame["type"].as_str().unwrap_or_default(), index) {
            ("closing", _) => *pause = retry_after,
            ("ok" | "error", _) if reference.starts_with("say ") => {
                self.answered(reference, frame, retry_after);
            }
            ("ok", Some(index)) if reference.starts_with("join ") => {
                self.joins.remove(&index);
                let what = self.seats[index].joined(frame);
                self.record(what);
                for what in self.seats[index].listed(frame) {
                    self.record(what);
                }
                self.show(index, 0);
            }
            ("ok", Some(index)) if reference.starts_with("leave ") => {
                self.record(What::Left { room: Arc::clone(&self.seats[index].room) });
                self.seats[index].joined = false;
                if self.random.below(2) == 0 {
                    // Half the time it comes back like one who was never there.
                    self.seats[index].stand = None;
                }
                self.joins.insert(index, Instant::now() + Duration::from_millis(self.random.within(0..=300)));
                self.show(index, 0);
            }
            ("error", _) if reference.starts_with("join ") => {
                let again = Instant::now() + retry_after.unwrap_or(Duration::from_millis(300));
                let index = self.seats.iter().position(|seat| reference.ends_with(&*seat.room));
                self.joins.extend(index.map(|index| (index, again)));
            }
            ("presence", Some(index)) => {
                let what = self.seats[index].moved(frame);
                self.record(what);
                self.show(index, 0);
            }
            ("read", Some(index)) => {
                for what in self.seats[index].marked(frame) {
                    self.record(what);
                }
            }
            ("message" | "edit" | "delete", Some(index)) => {
                let (what, sent) = self.seats[index].event(frame);
                self.record(what);
                self.show(index, sent);
            }
            ("message" | "edit" | "delete", None) => self.record(stray(frame)),
            ("reset", Some(index)) => {
                let what = self.seats[index].reset(frame);
                self.record(what);
                self.show(index, 0);
            }
            _ => {}
        }
    }

    /// The answer to an attempt to say something.
    fn answered(&mut self, reference: &str, frame: &Value, retry_after: Option<Duration>) {
        let mut numbers = reference.split(' ').skip(1).filter_map(|number| number.parse::<u64>().ok());
        let (Some(number), Some(attempt)) = (numbers.next(), numbers.next()) else { return };
        if frame["type"] == "ok" {
            return self.accepted(number, frame);
        }
        let Some(pending) = self.pending.get_mut(&number) else { return };
        let (room, id) = (Arc::clone(&pending.room), Arc::clone(&pending.id));
        let code = frame["code"].as_str().unwrap_or_default().to_owned();
        if pending.is_pointless(&code) {
            self.pending.remove(&number);
            self.live.pending.store(self.pending.len(), Ordering::Relaxed);
        } else if attempt == pending.attempts {
            // As long as it was told to, and a little more, so that not all come at once.
            let wait = retry_after.unwrap_or(Duration::from_millis(500));
            pending.due = Instant::now() + wait + Duration::from_millis(self.random.within(0..=100));
        }
        self.record(What::Refused { room, id, code });
    }

    /// What it said was appended, and perhaps this stands in the event's place.
    fn accepted(&mut self, number: u64, ok: &Value) {
        let Some(index) = self.seats.iter().position(|seat| ok["room"].as_str() == Some(&*seat.room)) else {
            return;
        };
        let sent = self.pending.remove(&number).map(|pending| {
            let place = self.seats[index].place(ok);
            self.record(What::Acked {
                room: Arc::clone(&pending.room),
                id: Arc::clone(&pending.id),
                place: place.clone(),
            });
            self.noted(&pending, place);
            pending.sent
        });
        self.live.pending.store(self.pending.len(), Ordering::Relaxed);
        // The ok of an attempt may come after that of its repetition, which is a duplicate and has no place.
        if self.quiet() && ok["duplicate"] != true && self.seats[index].joined {
            let what = self.seats[index].own_event(ok, &self.user);
            self.record(what);
            self.show(index, sent.unwrap_or(0));
        }
    }

    /// Shows to the nemesis where it stands in a room.
    fn show(&self, index: usize, sent: u64) {
        let (seat, live) = (&self.seats[index], &self.live.rooms[index]);
        live.seq.store(seat.stand.as_ref().map_or(0, |stand| stand.seq), Ordering::Relaxed);
        live.joined.store(seat.joined, Ordering::Relaxed);
        live.fresh.fetch_max(sent, Ordering::Relaxed);
        live.present.lock().expect("nobody panics with a list").clone_from(&seat.present);
    }
}

async fn send(socket: &mut Socket, frame: &Value) -> Result<(), (u16, String)> {
    match timeout(DIALING, socket.send(Message::text(frame.to_string()))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((1006, error.to_string())),
        Err(_) => Err((1006, "the gateway does not read".to_owned())),
    }
}
