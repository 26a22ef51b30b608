//! The commands that go to Redis, and the two connections: one for commands, one that only listens.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, HashesInterface, KeysInterface, PubsubInterface},
    types::{Expiration, SetOptions, Value},
};
use parking_lot::Mutex;
use proto::{ID_TTL_MS, Position, RoomName, position::SEQ_LIMIT};

use super::{
    answer::{self, Batch},
    config::{self, RedisConfig},
    keys,
    script::Script,
    wire,
};
use crate::{Append, BusError, Retention, epoch, epoch::Head, follow::Slice};

/// How long a head is kept after its last use, at least, in milliseconds.
const HEAD_LIFE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Messages that may wait between the connection and whoever takes them; beyond, the oldest are lost and the heads
/// are compared.
const MESSAGES: usize = 8192;

/// How the log is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Forwards, behind a number.
    After(u64),
    /// Backwards from a number, which is not included.
    Before(u64),
}

/// What was found where a room's head should be.
pub(super) type SeenHead = Result<Option<Position>, BusError>;

pub(super) struct Link {
    pub(super) commands: Client,
    pub(super) subscriber: Client,
    append: Script,
    open: Script,
    read: Script,
    retention: Retention,
    /// Whether the last probe was answered. While it was not, commands are not tried: each would take its whole
    /// timeout to say the same.
    reachable: AtomicBool,
    /// Why there is no connection, as the last attempt said.
    trouble: Mutex<Option<String>>,
}

impl Link {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, BusError> {
        let parsed = config::parse(config)?;
        let commands = config::client(parsed.clone(), config, 1);
        Ok(Self {
            commands,
            subscriber: config::client(parsed, config, MESSAGES),
            append: Script::new(include_str!("append.lua")),
            open: Script::new(include_str!("open.lua")),
            read: Script::new(include_str!("read.lua")),
            retention: config.retention,
            reachable: AtomicBool::new(false),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
    }

    /// Remembers why there is no connection; none when there is one again. Said once, not at every attempt.
    pub(super) fn set_trouble(&self, error: Option<String>) {
        let mut trouble = self.trouble.lock();
        if let Some(error) = &error
            && trouble.as_ref() != Some(error)
        {
            tracing::warn!(error, "redis connection failed");
        }
        *trouble = error;
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    pub(super) async fn append(&self, room: &RoomName, batch: &[Append]) -> Result<Batch, BusError> {
        self.gate()?;
        let mut args: Vec<Value> = vec![
            keys::channel(room).into(),
            epoch::random_id().into(),
            number(self.retention.length)?,
            number(self.retention.age_ms)?,
            number(self.head_life())?,
            number(ID_TTL_MS)?,
        ];
        for append in batch {
            args.push(Value::Bytes(append.key.0.clone()));
            args.push(Value::Bytes(wire::entry(&append.key, &append.body)));
        }
        let answer =
            self.append.call(&self.commands, keys::of_room(room), args).await.map_err(unavailable)?;
        answer::batch(answer, batch.len())
    }

    /// The head of a room, which is made if there is none.
    pub(super) async fn open(&self, room: &RoomName) -> Result<Head, BusError> {
        self.gate()?;
        let args = vec![epoch::random_id().into(), number(self.head_life())?];
        let answer = self.open.call(&self.commands, keys::of_room(room), args).await.map_err(unavailable)?;
        answer::opened(answer)
    }

    /// A part of a room's log; none when the room has no head.
    pub(super) async fn read(
        &self,
        room: &RoomName,
        part: Part,
        limit: u32,
    ) -> Result<Option<Slice>, BusError> {
        self.gate()?;
        let (direction, seq, after) = match part {
            Part::After(seq) => ("after", seq, Some(seq)),
            Part::Before(seq) => ("before", seq, None),
        };
        // Beyond any number there is nothing to find, and Lua would not hold it.
        let args = vec![direction.into(), number(seq.min(SEQ_LIMIT))?, limit.into()];
        let answer = self.read.call(&self.commands, keys::of_room(room), args).await.map_err(unavailable)?;
        answer::slice(answer, after)
    }

    /// The heads of many rooms, in one go; none for a room that has no head. What strangers did to one room is an
    /// error for that one alone.
    pub(super) async fn heads(&self, rooms: &[RoomName]) -> Result<Vec<SeenHead>, BusError> {
        self.gate()?;
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let pipeline = self.commands.pipeline();
        for room in rooms {
            // Queued, not sent; the number goes first, so that no reply begins with a word.
            let _: Value =
                pipeline.hmget(keys::head(room), vec!["s", "b", "g"]).await.map_err(unavailable)?;
        }
        let answers: Vec<Result<Value, Error>> = pipeline.try_all().await;
        if answers.len() != rooms.len() {
            // One error for all of them.
            let error = answers.into_iter().find_map(Result::err);
            return Err(error.map_or_else(|| BusError::unavailable("redis left out answers"), unavailable));
        }
        Ok(answers.into_iter().map(|answer| answer::position(answer.map_err(unavailable)?)).collect())
    }

    pub(super) async fn publish(&self, channel: String, payload: Bytes) -> Result<(), BusError> {
        self.gate()?;
        self.probe(channel, payload).await
    }

    /// Publishes even when Redis was not reachable a moment ago.
    pub(super) async fn probe(&self, channel: String, payload: Bytes) -> Result<(), BusError> {
        self.connected()?;
        self.commands.publish(channel, Value::Bytes(payload)).await.map_err(unavailable)
    }

    pub(super) async fn put_ticket(&self, ticket: &str, value: Bytes, ttl_ms: u64) -> Result<(), BusError> {
        self.gate()?;
        let expires = Some(Expiration::PX(i64::try_from(ttl_ms).unwrap_or(i64::MAX)));
        let set = self.commands.set(
            keys::ticket(ticket),
            Value::Bytes(value),
            expires,
            Some(SetOptions::NX),
            false,
        );
        match set.await.map_err(unavailable)? {
            Value::Null => Err(BusError::unavailable("this ticket exists")),
            _ => Ok(()),
        }
    }

    pub(super) async fn take_ticket(&self, ticket: &str) -> Result<Option<Bytes>, BusError> {
        self.gate()?;
        let value: Value = self.commands.getdel(keys::ticket(ticket)).await.map_err(unavailable)?;
        Ok(value.as_bytes().map(Bytes::copy_from_slice))
    }

    /// A head must not lapse before the log that it stands for.
    fn head_life(&self) -> u64 {
        HEAD_LIFE_MS.max(self.retention.age_ms)
    }

    /// Without a connection fred would queue what it is given.
    fn connected(&self) -> Result<(), BusError> {
        if self.commands.is_connected() {
            return Ok(());
        }
        let trouble = self.trouble.lock();
        let why = trouble.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        Err(BusError::unavailable(format!("redis is not connected{why}")))
    }

    /// Lets commands pass while there is a point.
    fn gate(&self) -> Result<(), BusError> {
        self.connected()?;
        if !self.is_reachable() {
            return Err(BusError::unavailable("redis does not answer"));
        }
        Ok(())
    }
}

fn number(value: u64) -> Result<Value, BusError> {
    value.try_into().map_err(|_| BusError::unavailable("a number is beyond what redis holds"))
}

/// What fred tells of an error holds no secret: its own words, the server's, or the system's.
#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
pub(super) fn unavailable(error: Error) -> BusError {
    BusError::unavailable(error.to_string())
}
