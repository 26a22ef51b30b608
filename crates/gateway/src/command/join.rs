//! Joining a room: where the client stands, what it missed, and a cursor from there on.

use bus::{Bus, BusError, ReadFrom, Verdict};
use proto::{
    ErrorCode, Position, Ref, RoomName,
    client::Join,
    server::{self, Success},
};

use crate::{
    app::App,
    auth::Identity,
    posts::{resolve, rights},
    presence::Rule,
    refusal::Refusal,
    room::{Reach, Room},
    rooms::Claim,
    session::Session,
    socket::frame,
};

/// A place that was found for a client, in a room that is followed, and that it is in, for as long as this is kept.
pub struct Seat {
    claim: Claim,
    place: Place,
}

impl Seat {
    /// The room.
    pub fn room(&self) -> &RoomName {
        &self.claim.room().name
    }

    /// Just before the next event that the client will get.
    pub fn position(&self) -> &Position {
        &self.place.position
    }
}

/// Where a join puts a client.
#[derive(Debug)]
struct Place {
    /// Just before the next event that it will get.
    position: Position,
    /// The room's newest `seq`.
    head: u64,
    /// Whether nothing is missing behind `since`.
    recovered: bool,
}

/// Follows a room from where the client stands.
pub(super) async fn run(session: &Session, identity: &Identity, reference: Option<Ref>, join: Join) {
    match find(session, identity, join).await {
        Ok(seat) => {
            let wants_ok = reference.is_some();
            take_seat(session, identity, seat, reference, wants_ok);
        }
        Err(refusal) => session.refuse(reference, refusal),
    }
}

/// Joins a room that the request's query names. Its answer has no `ref` to come under, and says which room it is about.
pub async fn join_from_query(session: &Session, identity: &Identity, room: &str) {
    let name = match RoomName::parse(room) {
        Ok(name) => name,
        Err(error) => {
            return session.error(None, ErrorCode::BadRoom, &format!("?room={room}: {error}"));
        }
    };
    match find(session, identity, Join { room: name.clone(), since: None, recent: None }).await {
        Ok(seat) => take_seat(session, identity, seat, None, true),
        Err(refusal) => session.refuse_room(name, refusal),
    }
}

async fn find(session: &Session, identity: &Identity, join: Join) -> Result<Seat, Refusal> {
    let Join { room, since, recent } = join;
    let name = readable_room(&session.app, identity, room)?;
    let joined = session.connection.room(&name).is_some();
    if !joined && session.connection.rooms() >= session.terms.limits.rooms_per_connection {
        return Err(Refusal::TOO_MANY_ROOMS);
    }
    find_seat(&session.app, identity, &name, since, recent).await
}

/// The room that a client means, if it may read there.
pub fn readable_room(app: &App, identity: &Identity, room: RoomName) -> Result<RoomName, Refusal> {
    let name = resolve(identity, room);
    if rights(app, identity, &name).read { Ok(name) } else { Err(Refusal::MAY_NOT_READ) }
}

/// Has the room followed, and finds where in it a client will stand, if there is a place for it.
pub async fn find_seat(
    app: &App,
    identity: &Identity,
    name: &RoomName,
    since: Option<Position>,
    recent: Option<u32>,
) -> Result<Seat, Refusal> {
    // Followed rooms could answer from their tails for a while, but nobody would know how true that is.
    if !app.bus.health().up {
        return Err(Refusal::UNAVAILABLE);
    }
    let mut claim = app.rooms.enter(name).await.map_err(|_| Refusal::UNAVAILABLE)?;
    let place = find_place(&*app.bus, claim.room(), since, recent).await.map_err(|_| Refusal::UNAVAILABLE)?;
    // From here on it is there: were it only when it takes the seat, others could come in between.
    if claim.attend(identity) { Ok(Seat { claim, place }) } else { Err(Refusal::FULL) }
}

/// Makes the client a member; its `ok`, if it wants one, comes before anything of the room.
pub fn take_seat(session: &Session, identity: &Identity, seat: Seat, reference: Option<Ref>, wants_ok: bool) {
    let Seat { mut claim, place } = seat;
    claim.listen();
    let ok = wants_ok.then(|| {
        let (roster, rule) = (&claim.room().roster, Rule::of(&session.app.config.now(), &claim.room().name));
        let members = rule.kept.then(|| roster.company(rule.most, Some(&identity.user)).members).flatten();
        let markers = roster.markers(rule.most);
        let ok = Success {
            reference,
            room: Some(claim.room().name.clone()),
            epoch: Some(place.position.epoch.clone()),
            seq: Some(place.position.seq),
            head: Some(place.head),
            recovered: Some(place.recovered),
            count: Some(place.head.saturating_sub(place.position.seq)),
            members: members.as_deref(),
            markers: markers.as_deref(),
            ..Success::default()
        };
        frame::text(&server::encode(&ok))
    });
    session.app.metrics.joins.increment(1);
    session.connection.join(claim, place.position, ok);
}

/// Finds where the client will stand: at `since` if that holds, else before the last `recent`, else at the head.
async fn find_place(
    bus: &dyn Bus,
    room: &Room,
    since: Option<Position>,
    recent: Option<u32>,
) -> Result<Place, BusError> {
    if let Some(since) = since
        && let Some(place) = recover(bus, room, since).await?
    {
        return Ok(place);
    }
    let recent = u64::from(recent.unwrap_or(0));
    let from_tail = room.with_tail(|tail| {
        let position = tail.recent(recent)?;
        Some(Place { position, head: tail.head().seq, recovered: false })
    });
    if let Some(place) = from_tail {
        return Ok(place);
    }
    // Only the ends of the log are asked for; the events themselves come by the tail, or by the cursor.
    let page = bus.read(&room.name, ReadFrom::Newest, 1).await?;
    let seq = page.head.seq.saturating_sub(recent).max(page.first.saturating_sub(1));
    let position = Position { epoch: page.head.epoch, seq };
    room.reach_back(bus, &position).await?;
    Ok(Place { position, head: page.head.seq, recovered: false })
}

/// The place at `since`, if that still holds: by the tail if it reaches back so far, else by the log.
async fn recover(bus: &dyn Bus, room: &Room, since: Position) -> Result<Option<Place>, BusError> {
    // A tail takes whoever is ahead of it for somebody who read on in the log; what a client says it has seen beyond
    // must be checked.
    let ahead = room.with_tail(|tail| since.seq > tail.head().seq);
    let head = if ahead {
        let page = bus.read(&room.name, ReadFrom::After(since.clone()), 1).await?;
        if page.verdict != Verdict::Holds {
            return Ok(None);
        }
        page.head.seq
    } else {
        if room.reach_back(bus, &since).await? == Reach::Gone {
            return Ok(None);
        }
        room.with_tail(|tail| tail.head().seq)
    };
    Ok(Some(Place { position: since, head, recovered: true }))
}
