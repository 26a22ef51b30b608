//! The commands that go to Redis, each to the shard that has its room.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fred::{
    error::Error,
    interfaces::HashesInterface,
    types::{Key as RedisKey, Value},
};
use parking_lot::RwLock;
use proto::{ID_TTL_MS, Position, RoomName, position::SEQ_LIMIT};
use tokio::{sync::Notify, time::sleep};

use super::{
    answer::{self, Batch},
    call::{Call, Detour, Path},
    config::RedisConfig,
    keys,
    map::Map,
    script::Script,
    shard::Shard,
    wire,
};
use crate::{Append, BusError, Effect, Retentions, epoch, epoch::Head, follow::Slice};

/// How long a head is kept after its last use, at least, in milliseconds.
pub(super) const HEAD_LIFE_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The same for one that no event was ever numbered by, and for what is known beside such a log. Some 350 bytes each: a
/// client that joins fifty new rooms a second would fill a gigabyte in a day, and thirty in the time above.
pub(super) const UNUSED_LIFE_MS: u64 = 2 * 24 * 60 * 60 * 1000;

/// How long to wait before a call is made again that a cluster put off.
const PAUSE: Duration = Duration::from_millis(20);

/// How the log is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Forwards, behind a number.
    After(u64),
    /// Backwards from a number, which is not included.
    Before(u64),
}

/// What is read of a head: a number first, so that no reply begins with a word.
const HEAD_FIELDS: [&str; 3] = ["s", "b", "g"];

/// What was found where a room's head should be.
pub(super) type SeenHead = Result<Option<Position>, BusError>;

pub(super) struct Link {
    /// None while a cluster has not told its slots yet.
    map: RwLock<Option<Arc<Map>>>,
    /// Has the map of a cluster drawn anew.
    stale: Notify,
    /// Whether channels have slots, too.
    sharded: bool,
    append: Script,
    /// The same for one event that has a target.
    amend: Script,
    open: Script,
    read: Script,
    retentions: RwLock<Retentions>,
    /// How long a call may be sent from shard to shard.
    patience: Duration,
}

/// Numbers, stores and publishes messages: what needs no look at another event.
pub(super) fn append_script() -> Script {
    Script::function("append")
}

impl Link {
    pub(super) fn new(config: &RedisConfig, sharded: bool) -> Self {
        Self {
            map: RwLock::new(None),
            stale: Notify::new(),
            sharded,
            append: append_script(),
            amend: Script::function("amend"),
            open: Script::new(include_str!("open.lua")),
            read: Script::new(include_str!("read.lua")),
            retentions: RwLock::new(config.retentions.clone()),
            patience: config.command_timeout,
        }
    }

    pub(super) fn set_retentions(&self, retentions: Retentions) {
        *self.retentions.write() = retentions;
    }

    pub(super) fn map(&self) -> Option<Arc<Map>> {
        self.map.read().clone()
    }

    pub(super) fn set_map(&self, map: Map) {
        *self.map.write() = Some(Arc::new(map));
    }

    /// The shards there are.
    pub(super) fn shards(&self) -> Vec<Arc<Shard>> {
        self.map().map_or_else(Vec::new, |map| map.shards().to_vec())
    }

    /// The shard that has a channel or a key.
    pub(super) fn shard(&self, name: &str) -> Result<Arc<Shard>, BusError> {
        let map = self.map();
        let shard = map.as_ref().and_then(|map| map.of(name)).cloned();
        shard.ok_or_else(|| BusError::unavailable("no redis primary is known to have this room"))
    }

    pub(super) fn is_sharded(&self) -> bool {
        self.sharded
    }

    /// Has the map drawn anew, for it was seen to be wrong.
    pub(super) fn is_stale(&self) {
        self.stale.notify_one();
    }

    pub(super) async fn stale(&self) {
        self.stale.notified().await;
    }

    /// Sends a call to the shard that has `name`, and where that one says it should go instead, until a deadline:
    /// slots move, and primaries are replaced. Nothing was done before the answer that is given, so the order of a
    /// lane is kept.
    pub(super) async fn call(
        &self,
        name: &str,
        call: &Call<'_>,
        path: fn(&Shard) -> Path<'_>,
    ) -> Result<Value, BusError> {
        let began = Instant::now();
        // Where the last answer said that the key is already, though the slot is not.
        let mut ask: Option<Arc<Shard>> = None;
        let mut moved = false;
        loop {
            let asking = ask.is_some();
            let shard = match ask.take() {
                Some(shard) => shard,
                None => self.shard(name)?,
            };
            if let Err(error) = shard.gate() {
                // A slot has gone to a node that has just come, or a replica was promoted.
                if self.sharded && shard.is_new(self.patience) && began.elapsed() < self.patience {
                    sleep(PAUSE).await;
                    continue;
                }
                return Err(error);
            }
            let error = match call.send(path(&shard), asking).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let detour =
                Detour::of(&error, shard.server.as_ref()).filter(|_| began.elapsed() < self.patience);
            match detour {
                None => return Err(unavailable(error)),
                Some(Detour::Ask(server)) => {
                    ask = self.map().and_then(|map| map.at(&server).cloned());
                    if ask.is_some() {
                        continue;
                    }
                    self.is_stale();
                }
                Some(Detour::Moved(slot, server)) => {
                    // Once at once. Nodes that name each other would be asked as fast as they answer.
                    if self.moved(slot, &server) && !mem::replace(&mut moved, true) {
                        continue;
                    }
                }
                Some(Detour::Demoted) if !self.sharded => shard.demoted(),
                Some(Detour::Later | Detour::Demoted) => self.is_stale(),
            }
            sleep(PAUSE).await;
        }
    }

    /// One slot is elsewhere; whether that is a shard that is known.
    fn moved(&self, slot: u16, server: &fred::types::config::Server) -> bool {
        let mut map = self.map.write();
        let Some(known) = map.as_ref() else { return false };
        if let Some(changed) = known.with(slot, server) {
            let changed = Arc::new(changed);
            *map = Some(Arc::clone(&changed));
            drop(map);
            for shard in changed.shards() {
                shard.changes.all_anew();
            }
            return true;
        }
        let is_known = known.at(server).is_some();
        drop(map);
        self.is_stale();
        is_known
    }

    /// Has a shard load what appends, which is done when it is missed anyway. Says what will always stand in the way.
    pub(super) async fn refusal(&self, shard: &Shard) -> Option<String> {
        let error = self.append.load(Path::Plain(&shard.commands)).await.err()?;
        let error = error.details();
        if error.starts_with("NOPERM") {
            Some(format!("{error}: give its user the rights of deploy/redis/users.conf"))
        } else if error.starts_with("ERR unknown command") {
            Some(format!("{error}: Redis 7.0 or later is needed"))
        } else {
            None
        }
    }

    async fn script(&self, room: &RoomName, script: &Script, args: Vec<Value>) -> Result<Value, BusError> {
        let call = Call::Script(script, keys::of_room(room), args);
        self.call(&keys::channel(room), &call, Shard::commands).await
    }

    pub(super) async fn command(
        &self,
        key: &str,
        name: &'static str,
        args: Vec<Value>,
    ) -> Result<Value, BusError> {
        self.call(key, &Call::Command(name, args), Shard::commands).await
    }

    pub(super) async fn append(&self, room: &RoomName, batch: &[Append]) -> Result<Batch, BusError> {
        let channel = keys::channel(room);
        let retention = self.retentions.read().of(room);
        let mut args: Vec<Value> = vec![
            self.publish_command().into(),
            channel.clone().into(),
            epoch::random_id().into(),
            number(retention.length)?,
            number(retention.age_ms)?,
            number(self.head_life(room))?,
            number(ID_TTL_MS)?,
            wire::traces(batch.iter().map(|append| (&append.key, append.trace.as_deref()))).into(),
        ];
        for append in batch {
            args.push(Value::Bytes(append.key.0.clone()));
            args.push(Value::Bytes(wire::entry(&append.key, &append.body)));
        }
        let (mut keys, mut script) = (keys::of_room(room), &self.append);
        // Such an event is a batch of its own: see the lane.
        if let [only] = batch
            && let Some(target) = only.effect.target()
        {
            let (action, what) = match &only.effect {
                Effect::Edit(_) => ("edit", Bytes::new()),
                Effect::React { what, on: true, .. } => ("on", what.clone()),
                Effect::React { what, on: false, .. } => ("off", what.clone()),
                Effect::Delete(_) | Effect::None => ("delete", Bytes::new()),
            };
            args.extend([
                action.into(),
                target.epoch.as_str().into(),
                number(target.seq)?,
                Value::Bytes(what),
            ]);
            keys.push(keys::marks(room));
            script = &self.amend;
        }
        let call = Call::Script(script, keys, args);
        let value = self.call(&channel, &call, Shard::appends).await?;
        answer::batch(value, batch.len())
    }

    /// The head of a room, which is made if there is none.
    pub(super) async fn open(&self, room: &RoomName) -> Result<Head, BusError> {
        let args = vec![epoch::random_id().into(), number(self.head_life(room))?, number(UNUSED_LIFE_MS)?];
        answer::opened(self.script(room, &self.open, args).await?)
    }

    /// A part of a room's log; none when the room has no head.
    pub(super) async fn read(
        &self,
        room: &RoomName,
        part: Part,
        limit: u32,
    ) -> Result<Option<Slice>, BusError> {
        let (direction, seq, after) = match part {
            Part::After(seq) => ("after", seq, Some(seq)),
            Part::Before(seq) => ("before", seq, None),
        };
        // Beyond any number there is nothing to find, and Lua would not hold it.
        let args = vec![direction.into(), number(seq.min(SEQ_LIMIT))?, limit.into()];
        let answer = self.script(room, &self.read, args.clone()).await?;
        if !answer::needs_marks(&answer) {
            return answer::slice(answer, after);
        }
        // Named, they are waited for while the room's slot is on its way.
        let keys = keys::of_room(room).into_iter().chain([keys::marks(room)]).collect();
        let call = Call::Script(&self.read, keys, args);
        answer::slice(self.call(&keys::channel(room), &call, Shard::commands).await?, after)
    }

    /// The head of one room; none when it has none.
    pub(super) async fn head(&self, room: &RoomName) -> SeenHead {
        let mut args = vec![Value::from(keys::head(room))];
        args.extend(HEAD_FIELDS.map(Value::from));
        answer::position(self.command(&keys::channel(room), "HMGET", args).await?)
    }

    /// The heads of many rooms of one shard, in one go; none for a room that has no head. What strangers did to one
    /// room is an error for that one alone.
    pub(super) async fn heads(&self, shard: &Shard, rooms: &[RoomName]) -> Result<Vec<SeenHead>, BusError> {
        shard.gate()?;
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let pipeline = shard.commands.pipeline();
        for room in rooms {
            // Queued, not sent.
            let _: Value = pipeline
                .hmget(RedisKey::from(keys::head(room)), HEAD_FIELDS.to_vec())
                .await
                .map_err(unavailable)?;
        }
        let answers: Vec<Result<Value, Error>> = pipeline.try_all().await;
        if answers.len() != rooms.len() {
            // One error for all of them.
            let error = answers.into_iter().find_map(Result::err);
            return Err(error.map_or_else(|| BusError::unavailable("redis left out answers"), unavailable));
        }
        let mut heads = Vec::with_capacity(rooms.len());
        for (room, answer) in rooms.iter().zip(answers) {
            heads.push(match answer {
                // It is on its way to another shard, one of the few.
                Err(error) if Detour::of(&error, shard.server.as_ref()).is_some() => self.head(room).await,
                answer => answer.map_err(unavailable).and_then(answer::position),
            });
        }
        Ok(heads)
    }

    pub(super) async fn publish(&self, channel: String, payload: Bytes) -> Result<(), BusError> {
        let args = vec![channel.as_str().into(), Value::Bytes(payload)];
        self.command(&channel, self.publish_command(), args).await.map(drop)
    }

    /// Publishes on a shard's own channel, even when it was not reachable a moment ago. A channel whose slot has
    /// moved away is no failure: another one is chosen.
    pub(super) async fn probe(&self, shard: &Shard, payload: Bytes) -> Result<(), BusError> {
        shard.connected()?;
        let channel: &str = &shard.own_channel();
        let call = if channel.is_empty() {
            // Nobody listens yet: it shows that commands are answered. A channel without a name is no gateway's right.
            Call::Command("PING", Vec::new())
        } else {
            Call::Command(self.publish_command(), vec![channel.into(), Value::Bytes(payload)])
        };
        match call.send(shard.commands(), false).await {
            Err(error) if matches!(Detour::of(&error, shard.server.as_ref()), Some(Detour::Moved(..))) => {
                self.is_stale();
                Ok(())
            }
            answer => answer.map(drop).map_err(unavailable),
        }
    }

    pub(super) async fn put_ticket(&self, ticket: &str, value: Bytes, ttl_ms: u64) -> Result<(), BusError> {
        let key = keys::ticket(ticket);
        let life = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
        let args = vec![key.as_str().into(), Value::Bytes(value), "PX".into(), life.into(), "NX".into()];
        match self.command(&key, "SET", args).await? {
            Value::Null => Err(BusError::unavailable("this ticket exists")),
            _ => Ok(()),
        }
    }

    pub(super) async fn take_ticket(&self, ticket: &str) -> Result<Option<Bytes>, BusError> {
        let key = keys::ticket(ticket);
        let value = self.command(&key, "GETDEL", vec![key.as_str().into()]).await?;
        Ok(value.as_bytes().map(Bytes::copy_from_slice))
    }

    pub(super) async fn read_ticket(&self, ticket: &str, ttl_ms: u64) -> Result<Option<Bytes>, BusError> {
        let key = keys::ticket(ticket);
        let life = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
        let value = self.command(&key, "GETEX", vec![key.as_str().into(), "PX".into(), life.into()]).await?;
        Ok(value.as_bytes().map(Bytes::copy_from_slice))
    }

    pub(super) fn publish_command(&self) -> &'static str {
        if self.sharded { "SPUBLISH" } else { "PUBLISH" }
    }

    /// A head must not lapse before the log that it stands for.
    fn head_life(&self, room: &RoomName) -> u64 {
        HEAD_LIFE_MS.max(self.retentions.read().of(room).age_ms)
    }
}

pub(super) fn number(value: u64) -> Result<Value, BusError> {
    value.try_into().map_err(|_| BusError::unavailable("a number is beyond what redis holds"))
}

/// What fred tells of an error holds no secret: its own words, the server's, or the system's.
#[expect(clippy::needless_pass_by_value, reason = "a function for map_err")]
pub(super) fn unavailable(error: Error) -> BusError {
    BusError::unavailable(error.to_string())
}
