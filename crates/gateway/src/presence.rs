//! Who is in which room: told to the bus by each node for those who are there by way of it, and read from it once for
//! all who ask.
//!
//! What changes is gathered for a moment, so that a room of thousands that all come back makes a handful of frames and not
//! one for each of them. See [`Roster`](crate::room::Roster) for what a node knows.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bus::{BusError, Notice, PresenceUpdate, Told};
use bytes::Bytes;
use proto::{RoomName, UserId, server};
use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    time::sleep,
};

use crate::{
    app::App,
    auth::Identity,
    clock::unix_ms,
    config::Config,
    refusal::Refusal,
    relay::ephemeral_frame,
    room::{Company, Room, Roster},
    rooms::Rooms,
};

mod teller;

pub(crate) use teller::Tellings;

/// How long to wait after the bus did not take what was told, or did not give what was asked for.
const RETRY: Duration = Duration::from_secs(1);

/// How often a room that has lost its way is read again, at most.
const PAUSE: Duration = Duration::from_millis(300);

/// In rooms above the size, where there is only a number to tell, it is told so much more rarely.
const CROWD: u32 = 10;

/// How many rooms are read again at the same time, after an outage.
const AT_ONCE: usize = 16;

/// What holds for presence in a room.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Whether it is kept at all.
    pub kept: bool,
    /// Above so many members only their number is told.
    pub most: u64,
    /// How long changes are gathered.
    pub gather: Duration,
}

impl Rule {
    /// What the configuration says.
    pub fn of(config: &Config, room: &RoomName) -> Self {
        let namespace = config.namespace(room);
        Self {
            kept: namespace.presence,
            most: namespace.presence_max_members,
            gather: Duration::from_millis(config.presence.gather_ms),
        }
    }

    /// How long changes of a room are gathered, of which this is known.
    fn gather_in(self, roster: &Roster) -> Duration {
        if roster.is_crowded() { self.gather_crowd() } else { self.gather }
    }

    /// How long they are gathered where there is only a number to tell.
    fn gather_crowd(self) -> Duration {
        self.gather * CROWD
    }

    /// An update that says nothing yet.
    fn update(self) -> PresenceUpdate {
        PresenceUpdate { most: self.most, pause: self.gather_crowd(), ..PresenceUpdate::default() }
    }

    /// Who is in a room of which this is known, and `own`, who asks.
    ///
    /// # Errors
    /// When that is not kept.
    pub fn company(self, roster: &Roster, own: Option<&UserId>) -> Result<Company, Refusal> {
        if self.kept { Ok(roster.company(self.most, own)) } else { Err(Refusal::NO_PRESENCE) }
    }
}

/// Looks at what is known of a room beside its log: it is here for whoever is in it, else it is asked for.
///
/// # Errors
/// When the bus is away.
pub async fn look<R>(
    app: &App,
    room: &RoomName,
    look: impl FnOnce(&Roster, Rule) -> R,
) -> Result<R, BusError> {
    let rule = Rule::of(&app.config.now(), room);
    if let Some(room) = app.rooms.get(room).filter(|room| room.roster.is_loaded()) {
        return Ok(look(&room.roster, rule));
    }
    let state = app.bus.room_state(room, rule.most, unix_ms()).await?;
    let roster = Roster::default();
    roster.load(room, state, drop);
    Ok(look(&roster, rule))
}

/// An entry of a member list, as text.
pub fn member(identity: &Identity) -> Bytes {
    let member = server::Member {
        user: identity.user.clone(),
        name: identity.name.as_deref().map(Into::into),
        info: identity.info.as_deref(),
    };
    // A list that is no longer than what it holds: there is one for each member.
    server::encode(&member).into_boxed_slice().into()
}

/// Reads what is known of a room beside its log, unless it is known already.
pub(crate) async fn load(rooms: &Arc<Rooms>, room: &Arc<Room>) -> Result<(), BusError> {
    if room.roster.is_loaded() {
        return Ok(());
    }
    let _turn = room.roster.loading.lock().await;
    if room.roster.is_loaded() { Ok(()) } else { read(rooms, room).await }
}

async fn read(rooms: &Arc<Rooms>, room: &Arc<Room>) -> Result<(), BusError> {
    let rule = Rule::of(&rooms.config(), &room.name);
    room.roster.begin_reading();
    let mut state = rooms.bus().room_state(&room.name, rule.most, unix_ms()).await?;
    if !state.gone.is_empty() {
        // Nobody followed the room when they went. Whoever is there by way of them only is to go before it comes back, or
        // the others would not hear that it came.
        let gone = std::mem::take(&mut state.gone);
        let update = PresenceUpdate { gone, ..rule.update() };
        let told = rooms.bus().tell_presence(&room.name, &update).await?;
        if told != Told::All && room.roster.owe() {
            rooms.tellings().add(rooms.share(room));
        }
        state = rooms.bus().room_state(&room.name, rule.most, unix_ms()).await?;
    }
    room.roster.load(&room.name, state, |frame| room.push(ephemeral_frame(&frame)));
    tell_if_contradicted(rooms, room);
    Ok(())
}

/// Has it told again who is here, if others take them for gone: it was told too early, or in vain.
pub(crate) fn tell_if_contradicted(rooms: &Arc<Rooms>, room: &Arc<Room>) {
    if room.roster.is_contradicted() {
        rooms.tellings().add(rooms.share(room));
    }
}

/// Reads it again, after a moment in which more may be missed, until it is as new as what was heard of.
pub(crate) async fn find_way(rooms: Arc<Rooms>, room: Arc<Room>) {
    sleep(PAUSE).await;
    find_way_now(&rooms, &room).await;
}

async fn find_way_now(rooms: &Arc<Rooms>, room: &Arc<Room>) {
    loop {
        let turn = room.roster.loading.lock().await;
        let read = read(rooms, room).await;
        drop(turn);
        match read {
            Ok(()) if room.roster.has_found_way() => return,
            Ok(()) => sleep(PAUSE).await,
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Tells and hears of presence, for as long as the node runs.
pub async fn run(rooms: Arc<Rooms>) {
    tokio::join!(teller::run(&rooms), watch(&rooms));
}

/// Does for the rooms what the cluster goes through.
async fn watch(rooms: &Arc<Rooms>) {
    let mut notices = rooms.bus().notices();
    loop {
        let (mut gone, mut anew) = (HashSet::new(), false);
        match notices.recv().await {
            Ok(Notice::Gone(nodes)) => gone.extend(nodes),
            Ok(Notice::Anew) | Err(RecvError::Lagged(_)) => anew = true,
            Err(RecvError::Closed) => return,
        }
        // One outage is told of by each connection that it cut.
        sleep(PAUSE).await;
        loop {
            match notices.try_recv() {
                Ok(Notice::Gone(nodes)) => gone.extend(nodes),
                Ok(Notice::Anew) | Err(TryRecvError::Lagged(_)) => anew = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let gone: Vec<_> = gone.into_iter().collect();
        let claims = rooms.claim_all();
        for claim in claims.iter().filter(|claim| Rule::of(&rooms.config(), &claim.room().name).kept) {
            let roster = &claim.room().roster;
            let one = !gone.is_empty() && roster.tell_gone(&gone);
            let other = anew && roster.tell_all();
            if one || other {
                rooms.tellings().add(claim.share());
            }
        }
        if anew {
            read_all(rooms).await;
        }
    }
}

/// Reads all rooms again, a few at a time.
pub(crate) async fn read_all(rooms: &Arc<Rooms>) {
    let (mut claims, mut reading) = (rooms.claim_all(), tokio::task::JoinSet::new());
    loop {
        while reading.len() < AT_ONCE
            && let Some(claim) = claims.pop()
        {
            let rooms = Arc::clone(rooms);
            reading.spawn(async move {
                if claim.room().roster.lose_way() {
                    find_way_now(&rooms, claim.room()).await;
                }
            });
        }
        if reading.join_next().await.is_none() {
            return;
        }
    }
}
