//! Who a client is, and what it may do.
//!
//! A request carries at most one [`Credential`] (or none: then the first frame brings a token). An
//! [`Authenticator`] makes an [`Identity`] of it, and the identity answers which [`Rights`] its user has in a
//! room.

use bus::Bus;
use proto::Close;

pub mod credential;
pub mod identity;
pub mod jwt;
pub mod keys;
pub mod origin;
pub mod rights;
pub mod ticket;

pub use credential::{BadRequest, Credential};
pub use identity::Identity;
pub use jwt::{Authenticator, Claims};
pub use origin::Origin;
pub use rights::Rights;

/// Why a credential is not good. Neither holds any part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is none of ours, or not as it must be; the text says what is wrong, for a log line.
    #[error("{0}")]
    Failed(&'static str),
    /// It was good, and nothing but its time is over.
    #[error("the token has expired")]
    Expired,
    /// It can't be judged now: the text says what is missing, and what to do.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl AuthError {
    /// What a connection with such a credential is closed with.
    pub fn close(self) -> Close {
        match self {
            Self::Failed(_) => Close::AuthFailed,
            Self::Expired => Close::TokenExpired,
            Self::Unavailable(_) => Close::Overloaded,
        }
    }
}

/// Makes an identity of whatever a request carried.
pub async fn identify(
    authenticator: &Authenticator,
    bus: &dyn Bus,
    credential: &Credential,
) -> Result<Identity, AuthError> {
    match credential {
        Credential::Token(token) | Credential::Cookie(token) => authenticator.verify(token.expose()).await,
        Credential::Ticket(ticket) => ticket::redeem(bus, ticket.expose()).await,
    }
}
