//! JSON Web Tokens: the one credential behind all the ways to bring one.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use proto::{UserId, depth};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{
    AuthError, Identity,
    keys::{FetchResult, Keys, Pinned},
    rights::Grants,
};
use crate::{
    clock::unix_ms,
    config::{AuthConfig, Config, ConfigError},
};

/// Checks tokens, and makes them where this node has the secret: see `chorus token` and development mode.
///
/// The keys may be others while it is in use. Whoever was believed by those of before stays who it is.
pub struct Authenticator {
    trust: ArcSwap<Trust>,
    /// Tells whoever keeps the keys fresh that they are others.
    renewed: Notify,
}

/// Whom tokens are believed from.
struct Trust {
    keys: Keys,
    encoding: Option<EncodingKey>,
    /// What holds whichever the key is; the algorithms are the key's.
    validation: Validation,
}

/// Another configuration's keys, ready to be believed.
pub struct Prepared(Trust);

/// What a new token says.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// Who.
    pub sub: UserId,
    /// When its time is over, in seconds since 1970.
    pub exp: u64,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The rooms it opens; without, the configuration's default rights hold in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Grants>,
    /// For whom it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
}

/// What a token that came in says, as far as it concerns us.
#[derive(Deserialize)]
struct Payload {
    sub: UserId,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    name: Option<Box<str>>,
    #[serde(default)]
    info: Option<Box<RawValue>>,
    #[serde(default)]
    rooms: Option<Grants>,
}

impl Claims {
    /// A token for `user` that is good for `ttl_seconds`.
    pub fn new(user: UserId, ttl_seconds: u64) -> Self {
        let iat = unix_ms() / 1000;
        Self {
            sub: user,
            exp: iat.saturating_add(ttl_seconds),
            iat,
            name: None,
            rooms: None,
            aud: None,
            iss: None,
        }
    }
}

impl Authenticator {
    /// The longest token, in bytes.
    pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

    /// How far in the future a `nbf` may lie, in milliseconds: the maker's clock may be ahead of ours, and
    /// its tokens are used at once. `exp` has no such leeway, for a connection ends at that moment anyway.
    pub const NBF_LEEWAY_MS: u64 = 5_000;

    /// Takes the configured keys, or makes one in development mode, which ends with this process.
    ///
    /// Keys of a server are not fetched yet: see [`Authenticator::refresh_keys`].
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let auth = &config.auth;
        let mut key = [0; 32];
        let secret = match &auth.jwt_secret {
            Some(secret) => Some(secret.expose().as_bytes()),
            None if auth.has_key() => None,
            None if config.development() => {
                getrandom::fill(&mut key).map_err(|error| {
                    ConfigError::new(format!("the system gives no random bytes: {error}"))
                })?;
                Some(&key[..])
            }
            None => {
                return Err(ConfigError::new("auth.jwt_secret is not set: no client could ever be believed"));
            }
        };
        let trust = Trust::new(Keys::new(auth, secret)?, secret.map(EncodingKey::from_secret), auth);
        Ok(Self { trust: ArcSwap::from_pointee(trust), renewed: Notify::new() })
    }

    /// Makes another configuration's keys ready, which may take a fetch of them.
    ///
    /// # Errors
    /// When a file can't be read or is not as it must be, or a server does not give its keys.
    pub async fn prepare(&self, config: &Config, running: &Config) -> Result<Prepared, ConfigError> {
        let (trust, auth) = (self.trust.load_full(), &config.auth);
        if config.development() {
            // The key that was made at the start is still the one: guests have tokens by it.
            return Ok(Prepared(Trust::new(trust.keys.clone(), trust.encoding.clone(), auth)));
        }
        let secret = auth.jwt_secret.as_ref().map(|secret| secret.expose().as_bytes());
        let keys = trust.keys.succeeded(&running.auth, auth, secret).await?;
        Ok(Prepared(Trust::new(keys, secret.map(EncodingKey::from_secret), auth)))
    }

    /// Believes these from now on, and no others.
    pub fn adopt(&self, Prepared(trust): Prepared) {
        self.trust.store(Arc::new(trust));
        self.renewed.notify_one();
    }

    /// Makes an identity of a token. Where its key is not known and could be a new one, that waits for one fetch of the
    /// keys, but never long.
    pub async fn verify(&self, token: &str) -> Result<Identity, AuthError> {
        self.verify_at(token, unix_ms()).await
    }

    async fn verify_at(&self, token: &str, now_ms: u64) -> Result<Identity, AuthError> {
        if token.len() > Self::MAX_TOKEN_BYTES {
            return Err(AuthError::Failed("the token is longer than 8 KiB"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| failed(&error))?;
        let trust = self.trust.load_full();
        let key = trust.keys.find(&header).await?;
        trust.judge(token, key, now_ms)
    }

    /// Whether there are keys to check tokens with, or were at some time.
    pub fn has_keys(&self) -> bool {
        self.trust.load().keys.are_there()
    }

    /// Fetches the keys anew for as long as the node lives, and tells each time how it went. Where all keys stand in the
    /// configuration it only waits for others.
    pub async fn refresh_keys(&self, mut told: impl FnMut(FetchResult)) {
        loop {
            let trust = self.trust.load_full();
            let refresh = async {
                trust.keys.refresh(&mut told).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = refresh => {}
                () = self.renewed.notified() => {}
            }
        }
    }

    /// Signs claims with HS256.
    pub fn mint(&self, claims: &Claims) -> Result<String, AuthError> {
        let trust = self.trust.load();
        let encoding = trust.encoding.as_ref().ok_or(AuthError::Failed("there is no secret to sign with"))?;
        jsonwebtoken::encode(&Header::default(), claims, encoding)
            .map_err(|_| AuthError::Failed("the token can't be signed"))
    }
}

impl Trust {
    fn new(keys: Keys, encoding: Option<EncodingKey>, auth: &AuthConfig) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are judged last and by ourselves, so that `Expired` means that nothing else is wrong.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = auth.audience.is_some();
        validation.aud = auth.audience.clone().map(|audience| HashSet::from([audience]));
        validation.iss = auth.issuer.clone().map(|issuer| HashSet::from([issuer]));
        // The library passes over a claim that is checked but absent, unless it is required. `exp` is
        // required by the payload's type.
        let required = [("aud", auth.audience.is_some()), ("iss", auth.issuer.is_some())];
        validation.required_spec_claims =
            required.iter().filter(|(_, set)| *set).map(|(claim, _)| (*claim).to_owned()).collect();
        Self { keys, encoding, validation }
    }

    fn judge(&self, token: &str, key: Pinned, now_ms: u64) -> Result<Identity, AuthError> {
        let validation = Validation { algorithms: key.algorithms, ..self.validation.clone() };
        let data =
            jsonwebtoken::decode::<Payload>(token, &key.key, &validation).map_err(|error| failed(&error))?;
        if data.header.crit.is_some() {
            return Err(AuthError::Failed("the token has critical headers that we do not know"));
        }
        let Payload { sub, exp, nbf, iat, name, info, rooms } = data.claims;
        if !name.as_deref().is_none_or(Identity::is_name) {
            return Err(AuthError::Failed(
                "the name is not one of 1 to 128 bytes without control characters",
            ));
        }
        if !info.as_deref().is_none_or(is_info) {
            return Err(AuthError::Failed("info is longer than 1 KiB or nests too deeply"));
        }
        if nbf.is_some_and(|nbf| milliseconds(nbf) > now_ms + Authenticator::NBF_LEEWAY_MS) {
            return Err(AuthError::Failed("the token is not good yet"));
        }
        let identity = Identity {
            user: sub,
            name,
            info,
            expires_at_ms: milliseconds(exp),
            issued_at_ms: iat.map(milliseconds),
            server: false,
            rooms,
        };
        if identity.is_expired(now_ms) { Err(AuthError::Expired) } else { Ok(identity) }
    }
}

/// A `NumericDate` of RFC 7519 may have a fraction. Casting saturates, so what lies before 1970 is long over.
#[expect(clippy::cast_sign_loss, reason = "a date before 1970 becomes 1970")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0) as u64
}

fn is_info(info: &RawValue) -> bool {
    let text = info.get();
    text.len() <= Identity::MAX_INFO_BYTES && depth::within(text.as_bytes(), Identity::MAX_INFO_DEPTH)
}

/// The library's errors may quote the token, so only their kind goes on.
fn failed(error: &jsonwebtoken::errors::Error) -> AuthError {
    use jsonwebtoken::errors::ErrorKind;

    AuthError::Failed(match error.kind() {
        ErrorKind::InvalidSignature => "the signature is not ours",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            "the algorithm is not one of HS*, RS*, PS*, ES256, ES384, EdDSA, or not the key's"
        }
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => "the token names no audience",
        ErrorKind::MissingRequiredClaim(_) => "the token names no issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::Json(_) => "the token's header or claims are not what they must be",
        _ => "the token is malformed",
    })
}

#[cfg(test)]
mod tests;
