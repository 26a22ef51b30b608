//! What is kept beside the logs: read markers, mutes, sanctions, sessions, rates. Who is in a room is in [`here`](super::here).

use std::time::Duration;

use bytes::Bytes;
use fred::types::{Key as RedisKey, Value};
use proto::{Position, RoomName, UserId};

use super::{
    Core, answer,
    call::Call,
    keys,
    link::{HEAD_LIFE_MS, UNUSED_LIFE_MS, number},
    script::Script,
    shard::Shard,
    wire,
};
use crate::{
    BusError, Marked, Mute, Sanction, Sanctions,
    state::{RoomInfo, RoomsPage},
};

/// How long the sessions of a user are remembered that nobody speaks of any more, in milliseconds.
const SESSIONS_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// The scripts.
pub(super) struct Beside {
    pub(super) here: Script,
    pub(super) state: Script,
    mark: Script,
    sanction: Script,
    claim: Script,
    rate: Script,
}

impl Beside {
    pub(super) fn new() -> Self {
        Self {
            here: Script::alone(include_str!("here.lua")),
            state: Script::alone(include_str!("state.lua")),
            mark: Script::alone(include_str!("mark.lua")),
            sanction: Script::alone(include_str!("sanction.lua")),
            claim: Script::alone(include_str!("claim.lua")),
            rate: Script::alone(include_str!("rate.lua")),
        }
    }
}

impl Core {
    pub(super) async fn script(
        &self,
        script: &Script,
        keys: Vec<RedisKey>,
        args: Vec<Value>,
    ) -> Result<Value, BusError> {
        let name = keys.first().map(RedisKey::as_str_lossy).unwrap_or_default().into_owned();
        self.link.call(&name, &Call::Script(script, keys, args), Shard::commands).await
    }

    pub(super) async fn mark_read(
        &self,
        room: &RoomName,
        markers: &[(UserId, Position)],
        tell: bool,
    ) -> Result<Vec<Marked>, BusError> {
        let mut args: Vec<Value> = vec![
            if tell { self.link.publish_command() } else { "" }.into(),
            keys::channel(room).into(),
            room.as_str().into(),
            number(HEAD_LIFE_MS)?,
            number(UNUSED_LIFE_MS)?,
        ];
        for (user, position) in markers {
            args.extend([user.as_str().into(), position.epoch.as_str().into(), number(position.seq)?]);
        }
        let keys = vec![keys::head(room).into(), keys::beside(room, "read")];
        let answer = answer::array(self.script(&self.beside.mark, keys, args).await?)?;
        let marked = |value: &Value| match value.as_i64() {
            Some(1) => Marked::Moved,
            Some(0) => Marked::Behind,
            _ => Marked::Gone,
        };
        if answer.len() == markers.len() {
            Ok(answer.iter().map(marked).collect())
        } else {
            Err(answer::odd())
        }
    }

    pub(super) async fn set_mute(
        &self,
        room: &RoomName,
        user: &UserId,
        mute: Option<&Mute>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        let value = mute.map(|mute| (mute.reason.as_bytes(), mute.until_ms));
        self.sanction(keys::beside(room, "muted"), user.as_str(), value, now_ms).await
    }

    pub(super) async fn set_sanction(
        &self,
        user: &UserId,
        kind: Sanction,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        self.sanction(keys::sanctions(user).into(), field(kind), value, now_ms).await
    }

    /// Puts one of the sanctions at a key, with its end, or lifts it.
    async fn sanction(
        &self,
        key: RedisKey,
        which: &str,
        value: Option<(&[u8], u64)>,
        now_ms: u64,
    ) -> Result<(), BusError> {
        let (value, until) = value.unwrap_or_default();
        let value = Value::Bytes(Bytes::copy_from_slice(value));
        let args = vec![which.into(), number(until)?, value, number(now_ms)?];
        self.script(&self.beside.sanction, vec![key], args).await.map(drop)
    }

    pub(super) async fn sanctions(&self, user: &UserId, now_ms: u64) -> Result<Sanctions, BusError> {
        let key = keys::sanctions(user);
        let fields = [field(Sanction::Ban), field(Sanction::Revocation)];
        let mut args = vec![key.as_str().into()];
        args.extend(fields.map(Value::from));
        let values = answer::array(self.link.command(&key, "HMGET", args).await?)?;
        let valid = |value: Option<&Value>| {
            let value = value?.as_bytes()?;
            let space = value.iter().position(|&byte| byte == b' ')?;
            let until = wire::number(std::str::from_utf8(&value[..space]).ok()?)?;
            (until > now_ms).then(|| Bytes::copy_from_slice(&value[space + 1..]))
        };
        Ok(Sanctions { ban: valid(values.first()), revocation: valid(values.get(1)) })
    }

    pub(super) async fn claim_sessions(&self, user: &UserId, own: u64, most: u64) -> Result<bool, BusError> {
        let mut args =
            vec![self.node.as_str().into(), number(own)?, number(most)?, number(SESSIONS_LIFE_MS)?];
        args.extend(self.roll.lock().gone().map(Value::from));
        let answer = self.script(&self.beside.claim, vec![keys::sessions(user).into()], args).await?;
        let answer = answer::array(answer)?;
        let (claimed, others) = answer.split_first().ok_or_else(answer::odd)?;
        for other in others {
            self.roll.lock().suspect(answer::text(other)?, tokio::time::Instant::now());
        }
        Ok(claimed.as_i64() == Some(1))
    }

    pub(super) async fn take_rate(
        &self,
        scope: &str,
        per_second: u32,
        burst: u32,
    ) -> Result<Option<Duration>, BusError> {
        let args = vec![per_second.into(), burst.into()];
        let answer = self.script(&self.beside.rate, vec![keys::rate(scope).into()], args).await?;
        let wait = answer.as_u64().ok_or_else(answer::odd)?;
        Ok((wait > 0).then(|| Duration::from_millis(wait)))
    }

    /// A page of rooms: so many of one shard as one `SCAN` gives. The cursor is the shard's number and Redis' own.
    pub(super) async fn rooms_page(&self, after: Option<&str>, limit: u32) -> Result<RoomsPage, BusError> {
        let bad = || BusError::Config("this cursor was never given".to_owned());
        let (index, cursor) = match after {
            Some(after) => {
                let (index, cursor) = after.split_once('-').ok_or_else(bad)?;
                (index.parse::<usize>().map_err(|_| bad())?, cursor.parse::<u64>().map_err(|_| bad())?)
            }
            None => (0, 0),
        };
        let shards = self.link.shards();
        let Some(shard) = shards.get(index) else {
            return if after.is_some() {
                Err(bad())
            } else {
                Err(BusError::unavailable("no redis primary is known"))
            };
        };
        shard.gate()?;
        let args: Vec<Value> =
            vec![cursor.to_string().into(), "MATCH".into(), keys::HEADS.into(), "COUNT".into(), limit.into()];
        let answer = Call::Command("SCAN", args).send(shard.commands(), false).await;
        let answer = answer::array(answer.map_err(super::link::unavailable)?)?;
        let [next, found] = &answer[..] else { return Err(answer::odd()) };
        let next = answer::text(next)?.to_owned();
        let names: Vec<RoomName> = answer::array(found.clone())?
            .iter()
            .filter_map(|key| keys::room_of_head(answer::text(key).ok()?))
            .collect();
        let heads = self.link.heads(shard, &names).await?;
        let mut rooms = Vec::new();
        for (name, head) in names.into_iter().zip(heads) {
            // One that lapsed meanwhile, or that strangers have broken, is none.
            let Ok(Some(head)) = head else { continue };
            // What strangers have broken is no crowd, and no reason to keep the other rooms back.
            let count = self.fields(&name).await.unwrap_or(0).saturating_sub(1);
            rooms.push(RoomInfo { name, head, count });
        }
        let next = match (next.as_str(), index + 1 < shards.len()) {
            ("0", false) => None,
            ("0", true) => Some(format!("{}-0", index + 1)),
            (cursor, _) => Some(format!("{index}-{cursor}")),
        };
        Ok(RoomsPage { rooms, next })
    }
}

fn field(kind: Sanction) -> &'static str {
    match kind {
        Sanction::Ban => "ban",
        Sanction::Revocation => "revoked",
    }
}
