//! Who is kept out, thrown out or silenced, on every node.
//!
//! What lasts (a ban, a revocation, a mute) is written to the bus first and told to all nodes then: whoever missed the
//! signal reads it, when a user connects and when the bus is back after an outage. While it is away, what a node knows
//! already holds. Each act is a line in the log, of the target `audit`.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bus::{Bus, BusError, Mute, Notice, Sanction, Sanctions};
use parking_lot::Mutex;
use proto::{
    Close, RoomName, UserId,
    server::{self, Closing},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::error::RecvError,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    auth::Identity,
    clock::unix_ms,
    connection::{Connection, End},
    limits::Refusal,
    presence,
    rooms::Rooms,
    socket::frame,
    users::Users,
};

/// The most sanctions that a node keeps in mind for times without a bus.
const KNOWN: usize = 100_000;

/// How long a newcomer waits for the bus to say whether it is banned.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the bus is asked again because something was said of somebody meanwhile.
const ROUNDS: u32 = 5;

/// How often those are asked after of whom the bus did not say anything.
const AGAIN: Duration = Duration::from_millis(300);

/// How often it is said again how many sessions each user has here, where they are limited: well within the day for which
/// the bus remembers it.
const CLAIM: Duration = Duration::from_hours(6);

/// How many users are asked after at the same time, when the bus is back.
const AT_ONCE: usize = 16;

/// Who throws out on this node.
pub struct Moderation {
    bus: Arc<dyn Bus>,
    rooms: Arc<Rooms>,
    users: Users,
    known: Mutex<HashMap<UserId, Known>>,
    /// Users of whom the bus did not say anything when it was asked: they are asked after again until it does.
    unasked: Mutex<HashSet<UserId>>,
    /// How many signals were heeded: what was asked for before one is older than that.
    heeded: AtomicU64,
}

/// What is known of a user who is kept from something.
#[derive(Clone, Debug, Default)]
struct Known {
    ban: Option<Ban>,
    /// Tokens from before are good no more, in milliseconds since 1970.
    since_ms: Option<u64>,
}

/// That a user may not connect for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// Why, for the banned one's eyes.
    pub reason: String,
}

/// Why somebody is not let in, or is thrown out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expulsion {
    /// How the connection is closed.
    pub close: Close,
    /// What the moderator has to say.
    pub message: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

/// A connection's place among its user's, given back when this is dropped.
pub struct Stay {
    moderation: Arc<Moderation>,
    user: UserId,
    connection: Arc<Connection>,
}

/// What the nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Signal<'a> {
    Disconnect { user: Cow<'a, str>, message: Cow<'a, str> },
    Ban { user: Cow<'a, str>, ban: Option<Ban> },
    Revoke { user: Cow<'a, str>, since_ms: u64 },
    Mute { room: Cow<'a, str>, user: Cow<'a, str>, until_ms: Option<u64>, reason: Cow<'a, str> },
}

impl Moderation {
    /// Nobody is known yet.
    pub fn new(rooms: &Arc<Rooms>) -> Arc<Self> {
        Arc::new(Self {
            bus: Arc::clone(rooms.bus()),
            rooms: Arc::clone(rooms),
            users: Users::default(),
            known: Mutex::default(),
            unasked: Mutex::default(),
            heeded: AtomicU64::new(0),
        })
    }

    // ---- who comes ----

    /// Lets a session in, or says why not.
    ///
    /// # Errors
    /// When the user is banned, the token was revoked, or the user has as many sessions as it may.
    pub async fn admit(
        self: &Arc<Self>,
        identity: &Identity,
        connection: &Arc<Connection>,
    ) -> Result<Stay, Expulsion> {
        // First it is here, for a ban that comes now to find it.
        self.users.enter(&identity.user, connection);
        let (moderation, user) = (Arc::clone(self), identity.user.clone());
        let stay = Stay { moderation, user, connection: Arc::clone(connection) };
        self.check(identity).await?;
        let most = self.sessions_per_user();
        if most > 0 && self.bus.health().up {
            let own = self.users.count(&identity.user) as u64;
            let claim = self.bus.claim_sessions(&identity.user, own, most);
            if let Ok(Ok(false)) = timeout(PATIENCE, claim).await {
                let message = Some("this user has as many sessions as it may have".to_owned());
                return Err(Expulsion {
                    close: Close::Overloaded,
                    message,
                    retry_after: Some(crate::drain::retry_after(1)),
                });
            }
        }
        Ok(stay)
    }

    /// Whether a user may be here with this token.
    ///
    /// # Errors
    /// When it is banned, or the token was revoked.
    pub async fn check(&self, identity: &Identity) -> Result<(), Expulsion> {
        let known = self.look_up(&identity.user).await;
        if let Some(ban) = known.ban.filter(|ban| ban.until_ms > unix_ms()) {
            return Err(ban.expulsion());
        }
        // A token that does not say when it was issued may be an old one.
        let is_revoked = |since: u64| identity.issued_at_ms.is_none_or(|at| at < since);
        if known.since_ms.is_some_and(is_revoked) {
            return Err(Expulsion { close: Close::AuthFailed, message: None, retry_after: None });
        }
        Ok(())
    }

    /// What the bus knows of a user; what is kept in mind, when it does not say.
    async fn look_up(&self, user: &UserId) -> Known {
        if let Some(known) = self.ask(user).await {
            return known;
        }
        self.doubt([user.clone()]);
        self.known.lock().get(user).cloned().unwrap_or_default()
    }

    /// Brings to mind what the bus knows of a user; none when it does not say.
    async fn ask(&self, user: &UserId) -> Option<Known> {
        let mut rounds = 0;
        loop {
            if !self.bus.health().up {
                return None;
            }
            rounds += 1;
            let heeded = self.heeded.load(Ordering::SeqCst);
            let Ok(Ok(sanctions)) = timeout(PATIENCE, self.bus.sanctions(user, unix_ms())).await else {
                return None;
            };
            let known = Known::of(&sanctions);
            let mut all = self.known.lock();
            if self.heeded.load(Ordering::SeqCst) == heeded {
                Self::put(&mut all, user, known.clone());
                return Some(known);
            }
            // A signal came meanwhile, and it may have been newer; of whom it was is in mind. Where they come one after the
            // other, as when all of a company are revoked, nobody asks for ever.
            if rounds == ROUNDS {
                return Some(all.get(user).cloned().unwrap_or(known));
            }
        }
    }

    fn remember(&self, user: &UserId, change: impl FnOnce(&mut Known)) {
        let mut all = self.known.lock();
        let mut known = all.remove(user).unwrap_or_default();
        change(&mut known);
        // Under the lock: whoever has asked before puts nothing older in its place.
        self.heeded.fetch_add(1, Ordering::SeqCst);
        Self::put(&mut all, user, known);
    }

    fn put(all: &mut HashMap<UserId, Known>, user: &UserId, known: Known) {
        all.remove(user);
        if known.ban.is_none() && known.since_ms.is_none() {
            return;
        }
        // The newest one is the likeliest to be asked for. While there is a bus none of them is needed.
        if all.len() >= KNOWN
            && let Some(other) = all.keys().next().cloned()
        {
            all.remove(&other);
        }
        all.insert(user.clone(), known);
    }

    /// How many users are connected to this node.
    pub fn users(&self) -> usize {
        self.users.total()
    }

    // ---- what moderators do ----

    /// Closes all connections of a user.
    pub async fn disconnect(&self, by: &str, user: &UserId, message: &str) -> Result<(), BusError> {
        self.signal(&Signal::Disconnect { user: user.as_str().into(), message: message.into() }).await?;
        tracing::info!(target: "audit", by, %user, reason = message, "user disconnected");
        Ok(())
    }

    /// Bans a user.
    pub async fn ban(&self, by: &str, user: &UserId, ban: &Ban) -> Result<(), BusError> {
        let value = server::encode(ban);
        self.bus.set_sanction(user, Sanction::Ban, Some((&value, ban.until_ms)), unix_ms()).await?;
        self.signal(&Signal::Ban { user: user.as_str().into(), ban: Some(ban.clone()) }).await?;
        tracing::info!(target: "audit", by, %user, until_ms = ban.until_ms, reason = ban.reason, "user banned");
        Ok(())
    }

    /// Lifts a ban.
    pub async fn unban(&self, by: &str, user: &UserId) -> Result<(), BusError> {
        self.bus.set_sanction(user, Sanction::Ban, None, unix_ms()).await?;
        self.signal(&Signal::Ban { user: user.as_str().into(), ban: None }).await?;
        tracing::info!(target: "audit", by, %user, "user unbanned");
        Ok(())
    }

    /// A user's ban, if there is one.
    pub async fn ban_of(&self, user: &UserId) -> Result<Option<Ban>, BusError> {
        Ok(Known::of(&self.bus.sanctions(user, unix_ms()).await?).ban)
    }

    /// Makes all tokens of a user worthless that were issued before a time; for as long as tokens last at most.
    pub async fn revoke(
        &self,
        by: &str,
        user: &UserId,
        since_ms: u64,
        lasts_ms: u64,
    ) -> Result<(), BusError> {
        let (value, now) = (since_ms.to_string(), unix_ms());
        let until = now.max(since_ms).saturating_add(lasts_ms);
        self.bus.set_sanction(user, Sanction::Revocation, Some((value.as_bytes(), until)), now).await?;
        self.signal(&Signal::Revoke { user: user.as_str().into(), since_ms }).await?;
        tracing::info!(target: "audit", by, %user, since_ms, "tokens revoked");
        Ok(())
    }

    /// Takes a user's voice in a room, or gives it back.
    pub async fn mute(
        &self,
        by: &str,
        room: &RoomName,
        user: &UserId,
        mute: Option<&Mute>,
    ) -> Result<(), BusError> {
        self.bus.set_mute(room, user, mute, unix_ms()).await?;
        self.signal(&Signal::Mute {
            room: room.as_str().into(),
            user: user.as_str().into(),
            until_ms: mute.map(|mute| mute.until_ms),
            reason: mute.map(|mute| mute.reason.as_str()).unwrap_or_default().into(),
        })
        .await?;
        match mute {
            Some(Mute { until_ms, reason }) => {
                tracing::info!(target: "audit", by, %room, %user, until_ms, reason, "user muted");
            }
            None => tracing::info!(target: "audit", by, %room, %user, "user unmuted"),
        }
        Ok(())
    }

    async fn signal(&self, signal: &Signal<'_>) -> Result<(), BusError> {
        self.bus.signal(server::encode(signal).into()).await
    }

    // ---- what this node does about it ----

    /// Does what the nodes tell each other, for as long as this one runs.
    pub async fn watch(self: Arc<Self>) {
        // Side by side: to ask after everybody takes its time, and a ban that comes meanwhile holds at once.
        tokio::select! {
            () = self.listen() => {}
            () = self.keep_asking() => {}
        }
    }

    async fn listen(&self) {
        let (mut signals, mut notices) = (self.bus.signals(), self.bus.notices());
        loop {
            tokio::select! {
                signal = signals.recv() => match signal {
                    Ok(signal) => self.heed(&signal),
                    Err(RecvError::Lagged(_)) => {
                        self.doubt_all();
                        // Mutes are a room's and no user's.
                        let rooms = Arc::clone(&self.rooms);
                        tokio::spawn(async move { presence::read_all(&rooms).await });
                    }
                    Err(RecvError::Closed) => return,
                },
                notice = notices.recv() => match notice {
                    Ok(Notice::Anew) | Err(RecvError::Lagged(_)) => self.doubt_all(),
                    Ok(Notice::Gone(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// Asks after those of whom nothing is known, and says again how many sessions there are before the bus forgets it.
    async fn keep_asking(self: &Arc<Self>) {
        let (mut again, mut claims) = (interval(AGAIN), interval(CLAIM));
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = again.tick() => self.ask_unasked().await,
                _ = claims.tick() => if self.sessions_per_user() > 0 {
                    self.doubt_all();
                },
            }
        }
    }

    fn heed(&self, signal: &[u8]) {
        // Whoever reaches Redis can say anything.
        let Ok(signal) = serde_json::from_slice(signal) else { return };
        match signal {
            Signal::Disconnect { user, message } => {
                let Ok(user) = UserId::parse(&user) else { return };
                let message = Some(message.into_owned()).filter(|message| !message.is_empty());
                self.expel(&user, &Expulsion { close: Close::Kicked, message, retry_after: None });
            }
            Signal::Ban { user, ban } => {
                let Ok(user) = UserId::parse(&user) else { return };
                self.remember(&user, |known| known.ban.clone_from(&ban));
                if let Some(ban) = ban {
                    self.expel(&user, &ban.expulsion());
                }
            }
            Signal::Revoke { user, since_ms } => {
                let Ok(user) = UserId::parse(&user) else { return };
                self.remember(&user, |known| known.since_ms = Some(since_ms));
                self.expel_revoked(&user, since_ms);
            }
            Signal::Mute { room, user, until_ms, reason } => {
                let (Ok(room), Ok(user)) = (RoomName::parse(&room), UserId::parse(&user)) else { return };
                if let Some(room) = self.rooms.get(&room) {
                    let mute = until_ms.map(|until_ms| Mute { until_ms, reason: reason.into_owned() });
                    room.roster.set_mute(&user, mute);
                }
            }
        }
    }

    fn expel(&self, user: &UserId, expulsion: &Expulsion) {
        for connection in self.users.connections(user) {
            expulsion.close(&connection);
        }
    }

    fn expel_revoked(&self, user: &UserId, since_ms: u64) {
        for connection in self.users.connections(user) {
            if connection.issued_at_ms().is_none_or(|at| at < since_ms) {
                let close = Close::AuthFailed;
                Expulsion { close, message: None, retry_after: None }.close(&connection);
            }
        }
    }

    /// Sessions that a user may have in the whole cluster; 0 for as many as it likes.
    fn sessions_per_user(&self) -> u64 {
        self.rooms.config().limits.sessions_per_user.into()
    }

    /// Signals may have been lost, or sessions are counted that were not before: everybody who is here is to be asked
    /// after.
    pub(crate) fn doubt_all(&self) {
        self.doubt(self.users.all());
    }

    /// These are to be asked after.
    fn doubt(&self, users: impl IntoIterator<Item = UserId>) {
        let mut unasked = self.unasked.lock();
        for user in users {
            // Those who are here are fewer than that; who has gone is dropped when it is asked after.
            if unasked.len() < KNOWN {
                unasked.insert(user);
            }
        }
    }

    /// Asks after those of whom nothing is known, as soon as the bus can say: right after an outage it can't, and one whose
    /// path is only slow has no end that anybody would tell of.
    async fn ask_unasked(self: &Arc<Self>) {
        if !self.bus.health().up {
            return;
        }
        let (mut users, mut asking) = (std::mem::take(&mut *self.unasked.lock()), JoinSet::new());
        loop {
            while asking.len() < AT_ONCE
                && let Some(user) = users.iter().next().cloned()
            {
                users.remove(&user);
                asking.spawn(Arc::clone(self).ask_again(user));
            }
            if asking.join_next().await.is_none() {
                return;
            }
        }
    }

    async fn ask_again(self: Arc<Self>, user: UserId) {
        if self.users.connections(&user).is_empty() {
            return;
        }
        let known = self.look_up(&user).await;
        if let Some(ban) = known.ban.filter(|ban| ban.until_ms > unix_ms()) {
            self.expel(&user, &ban.expulsion());
        }
        if let Some(since_ms) = known.since_ms {
            self.expel_revoked(&user, since_ms);
        }
        self.claim(&user).await;
    }

    /// Tells the bus how many sessions a user has here.
    async fn claim(&self, user: &UserId) {
        if self.sessions_per_user() > 0 {
            // When that fails it is told again as soon as the bus is back.
            let _ = self.bus.claim_sessions(user, self.users.count(user) as u64, 0).await;
        }
    }
}

impl Known {
    /// What the bus has, as it was put there.
    fn of(Sanctions { ban, revocation }: &Sanctions) -> Self {
        Self {
            ban: ban.as_ref().and_then(|ban| serde_json::from_slice(ban).ok()),
            since_ms: revocation.as_ref().and_then(|since| str::from_utf8(since).ok()?.parse().ok()),
        }
    }
}

impl Ban {
    fn expulsion(&self) -> Expulsion {
        Expulsion {
            close: Close::Banned,
            message: Some(self.reason.clone()).filter(|reason| !reason.is_empty()),
            retry_after: Some(Duration::from_millis(self.until_ms.saturating_sub(unix_ms()))),
        }
    }
}

impl Expulsion {
    /// What it is counted as.
    pub fn refusal(&self) -> Refusal {
        if self.close == Close::Overloaded { Refusal::Sessions } else { Refusal::Banned }
    }

    /// Closes a connection with it.
    pub fn close(&self, connection: &Arc<Connection>) {
        let retry_after_ms = self.retry_after.map(|wait| wait.as_millis() as u64);
        let closing = Closing {
            message: self.message.as_deref().map(Cow::Borrowed),
            ..Closing::of(self.close, retry_after_ms)
        };
        connection.announce(frame::text(&server::encode(&closing)));
        connection.end(End::Close(self.close, None));
    }
}

impl fmt::Display for Expulsion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.close {
            Close::Banned => "this user is banned",
            Close::AuthFailed => "the token was revoked",
            other => other.reason(),
        };
        match &self.message {
            Some(message) => write!(f, "{reason}: {message}"),
            None => f.write_str(reason),
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.moderation.users.leave(&self.user, &self.connection);
        if self.moderation.sessions_per_user() > 0
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (moderation, user) = (Arc::clone(&self.moderation), self.user.clone());
            runtime.spawn(async move { moderation.claim(&user).await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sanction_is_kept_however_many_there_are() {
        let mut all = HashMap::new();
        let user = |number: usize| UserId::parse(&number.to_string()).unwrap();
        for number in 0..=KNOWN {
            Moderation::put(&mut all, &user(number), Known { since_ms: Some(1), ..Known::default() });
            assert!(all.contains_key(&user(number)));
        }
        assert_eq!(all.len(), KNOWN);
        Moderation::put(&mut all, &user(KNOWN), Known::default());
        assert_eq!(all.len(), KNOWN - 1, "nothing is known of it");
    }
}
