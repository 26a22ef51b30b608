//! Who is in a room.
//!
//! A room of a million has one hash of a million fields. Whatever reads all of it keeps Redis from everything else for
//! seconds, and every node takes it for silent then. So nothing does where a crowd is: its number is the hash's length,
//! the nodes by way of which they are there are counted beside it, and who is not there any more is looked for page by page.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use bytes::Bytes;
use fred::types::Value;
use proto::{Epoch, Position, RoomName, UserId};

use super::{
    Core, answer, keys,
    link::{HEAD_LIFE_MS, UNUSED_LIFE_MS, number},
    wire,
};
use crate::{BusError, Mute, PresenceUpdate, RoomState, Told};

/// Members up to which all of a room are read at once, when it is to be seen who is there no more, or told of at once. Reading
/// 570,000 took Redis 2 to 3.5 s (`SLOWLOG`), so this is some 50 ms.
const SMALL: u64 = 10_000;

/// Users that one call tells of, or one page holds, of a larger room: a few milliseconds of Redis' time.
const PAGE: usize = 1_000;

/// A pause that has not passed since 1970, which is when a crowd was told last that never was: a thousand years.
const LONG: Duration = Duration::from_hours(1_000 * 365 * 24);

impl Core {
    pub(super) async fn tell_presence(
        &self,
        room: &RoomName,
        update: &PresenceUpdate,
    ) -> Result<Told, BusError> {
        let own = self.node.as_str();
        let is_sweep = update.whole || !update.gone.is_empty();
        let is_large = update.joined.len() as u64 > SMALL || is_sweep && self.fields(room).await? > SMALL;
        if !is_large {
            return self.tell_of(room, own, update).await;
        }
        // None of these is to be told its number: what comes last has the whole one.
        let part = PresenceUpdate { most: update.most, pause: LONG, ..PresenceUpdate::default() };
        // Whoever comes by this node comes first: it was there all the time if it was by way of a node that is gone.
        for joined in update.joined.chunks(PAGE) {
            self.tell_of(room, own, &PresenceUpdate { joined: joined.to_vec(), ..part.clone() }).await?;
        }
        for left in update.left.chunks(PAGE) {
            self.tell_of(room, own, &PresenceUpdate { left: left.to_vec(), ..part.clone() }).await?;
        }
        if is_sweep && let Some(stale) = self.stale(room, update).await? {
            let mut cursor = "0".to_owned();
            loop {
                let (next, page) = self.page(room, cursor).await?;
                for (node, left) in stale.in_page(&page) {
                    self.tell_of(room, &node, &PresenceUpdate { left, ..part.clone() }).await?;
                }
                if next == "0" {
                    break;
                }
                cursor = next;
            }
        }
        self.tell_of(room, own, &PresenceUpdate { pause: update.pause, ..part }).await
    }

    /// Tells what came of `node`, in one call.
    async fn tell_of(&self, room: &RoomName, node: &str, update: &PresenceUpdate) -> Result<Told, BusError> {
        let pause = u64::try_from(update.pause.as_millis()).unwrap_or(u64::MAX);
        let mut args: Vec<Value> = vec![
            self.link.publish_command().into(),
            keys::channel(room).into(),
            room.as_str().into(),
            number(update.most)?,
            number(pause)?,
            number(HEAD_LIFE_MS)?,
            number(UNUSED_LIFE_MS)?,
            node.into(),
            if update.whole { "whole" } else { "" }.into(),
            number(update.joined.len() as u64)?,
        ];
        for (user, member) in &update.joined {
            args.extend([user.as_str().into(), Value::Bytes(member.clone())]);
        }
        args.push(number(update.left.len() as u64)?);
        args.extend(update.left.iter().map(|user| Value::from(user.as_str())));
        args.extend(update.gone.iter().map(|node| Value::from(node.as_str())));
        let keys = ["here", "told", "nodes"].map(|what| keys::beside(room, what)).to_vec();
        let answer = self.script(&self.beside.here, keys, args).await?;
        if answer.is_null() {
            return Ok(Told::All);
        }
        match &answer::array(answer)?[..] {
            [version, count] => Ok(Told::Withheld {
                version: version.as_u64().ok_or_else(answer::odd)?,
                count: count.as_u64().ok_or_else(answer::odd)?,
            }),
            _ => Err(answer::odd()),
        }
    }

    /// Whom to look for, after all who joined were told of; none if the counts say that there is nobody: another node may
    /// have found all who were there by way of one that is gone.
    async fn stale<'a>(
        &'a self,
        room: &RoomName,
        update: &'a PresenceUpdate,
    ) -> Result<Option<Stale<'a>>, BusError> {
        let own = self.node.as_str();
        let names = update.gone.iter().map(String::as_str).chain([own]).map(Value::from).collect();
        let counts = answer::array(self.ask_of(room, "nodes", "HMGET", names).await?)?;
        let Some((of_own, of_gone)) = counts.split_last() else { return Err(answer::odd()) };
        let joined = || update.joined.iter().map(|(user, _)| user.as_str()).collect::<HashSet<_>>();
        let of_own = answer::text(of_own).ok().and_then(wire::number).unwrap_or(0);
        let has_more = update.whole && of_own != update.joined.len() as u64;
        let gone: HashSet<&str> = update
            .gone
            .iter()
            .zip(of_gone)
            .filter(|(_, count)| !count.is_null())
            .map(|(node, _)| &**node)
            .collect();
        let is_there = has_more || !gone.is_empty();
        Ok(is_there.then(|| Stale { own, gone, joined: has_more.then(joined) }))
    }

    /// How many fields the hash of those who are there has: one is the version.
    pub(super) async fn fields(&self, room: &RoomName) -> Result<u64, BusError> {
        self.ask_of(room, "here", "HLEN", Vec::new()).await?.as_u64().ok_or_else(answer::odd)
    }

    /// Runs a command on what is known of a room beside its log.
    async fn ask_of(
        &self,
        room: &RoomName,
        what: &str,
        command: &'static str,
        mut args: Vec<Value>,
    ) -> Result<Value, BusError> {
        let key = keys::beside(room, what).as_str_lossy().into_owned();
        args.insert(0, key.as_str().into());
        self.link.command(&key, command, args).await
    }

    /// Some of those who are there, each with the nodes by way of which it is, and where the next begin.
    async fn page(
        &self,
        room: &RoomName,
        cursor: String,
    ) -> Result<(String, Vec<(UserId, String)>), BusError> {
        let args = vec![cursor.into(), "COUNT".into(), number(PAGE as u64)?];
        let answer = answer::array(self.ask_of(room, "here", "HSCAN", args).await?)?;
        let [next, fields] = &answer[..] else { return Err(answer::odd()) };
        let fields = answer::array(fields.clone())?;
        let user = |[user, value]: &[Value; 2]| {
            // The version is no user, and has no line.
            let (nodes, _) = answer::text(value).ok()?.split_once('\n')?;
            Some((user_of(user)?, nodes.to_owned()))
        };
        Ok((answer::text(next)?.to_owned(), fields.as_chunks().0.iter().filter_map(user).collect()))
    }

    pub(super) async fn room_state(
        &self,
        room: &RoomName,
        most: u64,
        now_ms: u64,
    ) -> Result<RoomState, BusError> {
        let mut args = vec![number(most)?, number(now_ms)?];
        {
            let roll = self.roll.lock();
            args.push(number(roll.known().count() as u64)?);
            args.extend(roll.known().chain(roll.gone()).map(Value::from));
        }
        let keys = ["here", "read", "muted", "nodes"].map(|what| keys::beside(room, what)).to_vec();
        let answer = self.script(&self.beside.state, keys, args).await?;
        let mut lists = Lists(answer::array(answer)?.into_iter());
        let (version, count) = (lists.number()?, lists.number()?);
        let members = lists.pairs()?;
        for stranger in lists.next()? {
            self.roll.lock().suspect(answer::text(&stranger)?, tokio::time::Instant::now());
        }
        let gone =
            lists.next()?.iter().filter_map(|node| Some(answer::text(node).ok()?.to_owned())).collect();
        let members: Vec<(UserId, Bytes)> = members
            .into_iter()
            .filter_map(|(user, member)| Some((user_of(&user)?, bytes_of(&member))))
            .collect();
        let markers = lists.pairs()?.into_iter().filter_map(|(user, place)| {
            let (epoch, seq) = answer::text(&place).ok()?.split_once(' ')?;
            let position = Position { epoch: Epoch::parse(epoch).ok()?, seq: wire::number(seq)? };
            Some((user_of(&user)?, position))
        });
        let markers = markers.collect();
        let mutes = lists.pairs()?.into_iter().filter_map(|(user, mute)| {
            let (until, reason) = answer::text(&mute).ok()?.split_once(' ')?;
            Some((user_of(&user)?, Mute { until_ms: until.parse().ok()?, reason: reason.to_owned() }))
        });
        let mutes = mutes.collect();
        let members = (count <= most).then_some(members);
        Ok(RoomState { version, count, members, markers, mutes, gone })
    }
}

/// Whom a large room still has by way of nodes that are gone, or by way of this one, which does not have them any more.
struct Stale<'a> {
    own: &'a str,
    gone: HashSet<&'a str>,
    /// Whom this node has; none if it does not say.
    joined: Option<HashSet<&'a str>>,
}

impl Stale<'_> {
    /// Those in a page, by the node.
    fn in_page(&self, page: &[(UserId, String)]) -> HashMap<String, Vec<UserId>> {
        let mut stale: HashMap<String, Vec<UserId>> = HashMap::new();
        for (user, nodes) in page {
            let has_left = self.joined.as_ref().is_some_and(|joined| !joined.contains(user.as_str()));
            for node in nodes.split(' ') {
                if self.gone.contains(node) || node == self.own && has_left {
                    stale.entry(node.to_owned()).or_default().push(user.clone());
                }
            }
        }
        stale
    }
}

fn user_of(value: &Value) -> Option<UserId> {
    UserId::parse(answer::text(value).ok()?).ok()
}

/// In memory of their own: what came from a socket pins its whole read buffer.
fn bytes_of(value: &Value) -> Bytes {
    value.as_bytes().map(Bytes::copy_from_slice).unwrap_or_default()
}

/// Lists one behind the other, each behind its length.
struct Lists(std::vec::IntoIter<Value>);

impl Lists {
    fn number(&mut self) -> Result<u64, BusError> {
        self.0.next().and_then(|value| value.as_u64()).ok_or_else(answer::odd)
    }

    fn next(&mut self) -> Result<Vec<Value>, BusError> {
        let length = self.number()?;
        let list: Vec<Value> = self.0.by_ref().take(usize::try_from(length).unwrap_or(0)).collect();
        if list.len() as u64 == length { Ok(list) } else { Err(answer::odd()) }
    }

    fn pairs(&mut self) -> Result<Vec<(Value, Value)>, BusError> {
        let mut list = self.next()?.into_iter();
        Ok(std::iter::from_fn(|| Some((list.next()?, list.next()?))).collect())
    }
}
