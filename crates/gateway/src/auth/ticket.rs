//! Tickets: credentials that may stand in a URL, because they are good once and not for long.

use bus::{Bus, BusError};

use super::{AuthError, Identity};
use crate::clock::unix_ms;

/// How long a ticket can be redeemed, in milliseconds.
pub const TTL_MS: u64 = 60_000;

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
    // What can't be a ticket is not worth a question, and does not become part of a key in Redis.
    if ticket.len() != LENGTH || !ticket.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(AuthError::Failed("the ticket is malformed"));
    }
    let value = bus.take_ticket(ticket).await.map_err(|_| AuthError::Unavailable)?;
    let value = value.ok_or(AuthError::Failed("the ticket is unknown, used or too old"))?;
    let identity: Identity = serde_json::from_slice(&value)
        .map_err(|_| AuthError::Failed("the ticket stands for nothing we know"))?;
    if identity.is_expired(unix_ms()) { Err(AuthError::Expired) } else { Ok(identity) }
}

#[cfg(test)]
mod tests;
