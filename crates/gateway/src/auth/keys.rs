//! The keys that tokens are believed by, and which of them a token has to be signed with.
//!
//! A token says in its header by which algorithm it is signed, and by which key (`kid`). Neither is trusted: a key is
//! good for the algorithms of its own family alone, and of these only for the one that it names, if it names one. So a
//! public key is never taken for a secret, and nothing but `kid` chooses among the keys: `jku`, `x5u`, `x5c` and `jwk`
//! are not looked at.

use std::sync::Arc;

use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header};

use self::{jwks::Jwks, set::KeySet};
use super::AuthError;
use crate::config::{AuthConfig, ConfigError, JwksUrl};
pub use crate::fetch::FetchError;

mod jwks;
mod set;

pub use jwks::{FetchResult, JwksError};
pub use set::{BadKey, BadKeys};

pub(super) use set::Pinned;

/// Every key of the configuration.
#[derive(Clone)]
pub(super) struct Keys {
    /// Of HS256, HS384 and HS512.
    secret: Option<Pinned>,
    /// Of the other families.
    public: Option<Arc<Public>>,
}

enum Public {
    /// A PEM file, read when the configuration is.
    Pem(KeySet),
    /// A JWKS file, or one that is fetched.
    Jwks(Jwks),
}

impl Public {
    /// Reads what can be read at once: a PEM file, a JWKS file, the certificates of a CA.
    fn read(auth: &AuthConfig) -> Result<Option<Self>, ConfigError> {
        let Some(path) = &auth.jwt_public_key else { return Ok(Jwks::new(auth)?.map(Self::Jwks)) };
        let keys = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|text| KeySet::from_pem(&text).map_err(|error| error.to_string()))
            .map_err(|error| {
                ConfigError::new(format!("auth.jwt_public_key = \"{}\": {error}", path.display()))
            })?;
        Ok(Some(Self::Pem(keys)))
    }
}

impl Keys {
    /// Reads what can be read at once; a server is asked for its keys later.
    pub(super) fn new(auth: &AuthConfig, secret: Option<&[u8]>) -> Result<Self, ConfigError> {
        Ok(Self { secret: secret.map(of_secret), public: Public::read(auth)?.map(Arc::new) })
    }

    /// The keys of another configuration, to take the place of these. Files are read anew; a server that is the same keeps
    /// the keys that it gave, and of another one the keys are had first, for without them nobody could come.
    pub(super) async fn succeeded(
        &self,
        running: &AuthConfig,
        auth: &AuthConfig,
        secret: Option<&[u8]>,
    ) -> Result<Self, ConfigError> {
        let is_fetched = matches!(auth.jwks_url, Some(JwksUrl::Http(_)));
        let terms = |auth: &AuthConfig| {
            (auth.jwks_url.clone(), auth.jwks_ca.clone(), auth.jwks_refresh_seconds, auth.deadline_ms)
        };
        if is_fetched && terms(running) == terms(auth) {
            return Ok(Self { secret: secret.map(of_secret), public: self.public.clone() });
        }
        let new = Self::new(auth, secret)?;
        if let (Some(Public::Jwks(jwks)), Some(url)) = (new.public.as_deref(), &auth.jwks_url)
            && is_fetched
        {
            jwks.fetch_first()
                .await
                .map_err(|error| ConfigError::new(format!("auth.jwks_url = \"{url}\": {error}")))?;
        }
        Ok(new)
    }

    /// The key that a token with this header has to be signed with. Waits for a fetch if the key is not known and may be
    /// a new one.
    pub(super) async fn find(&self, header: &Header) -> Result<Pinned, AuthError> {
        if header.alg.family() == AlgorithmFamily::Hmac {
            return self.secret.clone().ok_or(NO_SUCH_FAMILY);
        }
        match self.public.as_deref() {
            // Whatever its maker calls it, there is just the one.
            Some(Public::Pem(keys)) => keys.find(None, header.alg).map_err(AuthError::from),
            Some(Public::Jwks(keys)) => keys.find(header.kid.as_deref(), header.alg).await,
            None => Err(NO_SUCH_FAMILY),
        }
    }

    /// Whether there are keys, or were at some time.
    pub(super) fn are_there(&self) -> bool {
        match self.public.as_deref() {
            Some(Public::Jwks(keys)) => self.secret.is_some() || keys.are_there(),
            _ => true,
        }
    }

    /// Fetches anew, again and again, and tells each time how it went. Ends at once where there is nothing to fetch.
    pub(super) async fn refresh(&self, told: impl FnMut(FetchResult)) {
        if let Some(Public::Jwks(keys)) = self.public.as_deref() {
            keys.refresh(told).await;
        }
    }
}

fn of_secret(secret: &[u8]) -> Pinned {
    Pinned {
        kid: None,
        algorithms: AlgorithmFamily::Hmac.algorithms().to_vec(),
        key: DecodingKey::from_secret(secret),
    }
}

const NO_SUCH_FAMILY: AuthError =
    AuthError::Failed("the token is signed by an algorithm that we have no key of");

/// Why no key of a set is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// None is called that, or would be good for it: it may be a new one.
    Unknown,
    /// There is one of that name, and it is for other algorithms.
    OtherAlgorithm,
    /// The token names none, and several would be good for it.
    Ambiguous,
}

impl From<NoKey> for AuthError {
    fn from(no: NoKey) -> Self {
        Self::Failed(match no {
            NoKey::Unknown => "the token is signed with a key that we do not know",
            NoKey::OtherAlgorithm => "the token's key is not for the token's algorithm",
            NoKey::Ambiguous => "the token names no key (kid), and several could have signed it",
        })
    }
}
