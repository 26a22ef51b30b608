//! Tickets: credentials that may stand in a URL, because they are good once and not for long.
//!
//! An event stream is the exception: a browser repeats the request for it by itself, with the same URL and no header of
//! its own. So the first use of a ticket for a stream binds it to that stream, that is, to its rooms; from then on it is
//! good for nothing else, and for as long as the stream is there or was there a moment ago.

use bus::{Bus, BusError};
use proto::RoomName;
use serde::{Deserialize, Serialize};

use super::{AuthError, Identity};
use crate::clock::unix_ms;

/// How long a ticket can be redeemed, in milliseconds.
pub const TTL_MS: u64 = 60_000;

/// How long a stream can be away before its ticket is forgotten, in milliseconds: the node that it was on has to be
/// missed, and Redis may be away meanwhile.
pub const STREAM_TTL_MS: u64 = 5 * 60_000;

/// 128 random bits in hexadecimal digits.
const LENGTH: usize = 32;

/// Makes a ticket that stands for `identity`.
pub async fn issue(bus: &dyn Bus, identity: &Identity) -> Result<String, BusError> {
    let unavailable = |cause: String| BusError::Unavailable { cause: cause.into() };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| unavailable(format!("no random bytes: {error}")))?;
    let ticket = format!("{:0LENGTH$x}", u128::from_le_bytes(random));
    let value = serde_json::to_vec(identity).map_err(|error| unavailable(error.to_string()))?;
    bus.put_ticket(&ticket, value.into(), TTL_MS).await?;
    Ok(ticket)
}

/// Takes a ticket back; it is good only once.
pub async fn redeem(bus: &dyn Bus, ticket: &str) -> Result<Identity, AuthError> {
    check_form(ticket)?;
    let value = bus.take_ticket(ticket).await.map_err(|_| AWAY)?;
    alive(read(&value.ok_or(UNKNOWN)?)?)
}

/// What a ticket stands for that was bound to a stream.
#[derive(Serialize, Deserialize)]
struct Bound {
    /// The rooms as they were asked for.
    rooms: Vec<RoomName>,
    identity: Identity,
}

/// Takes a ticket for a stream of these rooms, given in an order of their own: the first time from whoever has it, and
/// then again and again for the same rooms.
pub async fn redeem_for_stream(
    bus: &dyn Bus,
    ticket: &str,
    rooms: &[RoomName],
) -> Result<Identity, AuthError> {
    check_form(ticket)?;
    if let Some(value) = bus.take_ticket(ticket).await.map_err(|_| AWAY)? {
        let identity = alive(read(&value)?)?;
        let bound = Bound { rooms: rooms.to_vec(), identity };
        let value = serde_json::to_vec(&bound).map_err(|_| AWAY)?;
        bus.put_ticket(&bound_name(ticket), value.into(), STREAM_TTL_MS).await.map_err(|_| AWAY)?;
        return Ok(bound.identity);
    }
    let value = bus.read_ticket(&bound_name(ticket), STREAM_TTL_MS).await;
    let value = value.map_err(|_| AWAY)?;
    let bound: Bound = read(&value.ok_or(UNKNOWN)?)?;
    if bound.rooms != rooms {
        return Err(AuthError::Failed("the ticket belongs to a stream of other rooms"));
    }
    alive(bound.identity)
}

/// Keeps a stream's ticket: the stream is still there.
pub async fn renew(bus: &dyn Bus, ticket: &str) {
    // If it can't be kept now, there is time to try again; and past that, the client gets another.
    let _ = bus.read_ticket(&bound_name(ticket), STREAM_TTL_MS).await;
}

const AWAY: AuthError = AuthError::Unavailable("tickets can't be looked up now: try again");

const UNKNOWN: AuthError = AuthError::Failed("the ticket is unknown, used or too old");

/// The name of a ticket that is bound to a stream; no ticket has one like it.
fn bound_name(ticket: &str) -> String {
    format!("sse:{ticket}")
}

/// What can't be a ticket is not worth a question, and does not become part of a key in Redis.
fn check_form(ticket: &str) -> Result<(), AuthError> {
    let good = ticket.len() == LENGTH && ticket.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good { Ok(()) } else { Err(AuthError::Failed("the ticket is malformed")) }
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, AuthError> {
    serde_json::from_slice(value).map_err(|_| AuthError::Failed("the ticket stands for nothing we know"))
}

fn alive(identity: Identity) -> Result<Identity, AuthError> {
    if identity.is_expired(unix_ms()) { Err(AuthError::Expired) } else { Ok(identity) }
}

#[cfg(test)]
mod tests;
