//! A JWKS that may change: kept, fetched anew from time to time, and when a token names a key that is not in it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use parking_lot::RwLock;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{BadKeys, NoKey, Pinned, set::KeySet};
use crate::{
    auth::AuthError,
    config::{AuthConfig, ConfigError, JwksUrl},
    fetch::{FetchError, Fetcher, MAX_BYTES, Named},
};

/// Between two fetches for the sake of keys that nobody knows: whoever makes up names must not make us a burden to the
/// issuer.
const APART: Duration = Duration::from_secs(30);

/// Between the first tries, while there are no keys at all; doubled after each, up to [`APART`].
const AGAIN: Duration = Duration::from_secs(1);

/// How long a token waits for a fetch at most: a slow issuer answers by then, and the client's time to say who it is is
/// not over.
const PATIENCE: Duration = Duration::from_secs(3);

const NAMED: Named = Named { url: "auth.jwks_url", ca: "auth.jwks_ca" };

/// How one fetch went.
pub type FetchResult = Result<(), JwksError>;

/// Why a fetch brought no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// It could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is not what it should be.
    #[error(transparent)]
    Keys(#[from] BadKeys),
}

/// Keys that an issuer publishes. An outage of the issuer leaves them as they are.
pub(super) struct Jwks {
    source: Source,
    /// Between two fetches of which nobody asked for.
    interval: Duration,
    /// How long a token waits for a fetch.
    patience: Duration,
    /// None until they were had once.
    keys: RwLock<Option<Arc<KeySet>>>,
    round: watch::Sender<Round>,
}

enum Source {
    File(Box<Path>),
    Http(Box<Fetcher>),
}

/// What stands between those who ask for a fetch and the one who makes it.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// One was asked for, and is not finished.
    asked: bool,
    /// When one was asked for the last time.
    at: Option<Instant>,
}

impl Round {
    /// Asks for one, if it is time; whether there is one to wait for.
    fn ask(&mut self, now: Instant) -> bool {
        if !self.asked && self.at.is_none_or(|at| now.duration_since(at) >= APART) {
            *self = Self { asked: true, at: Some(now) };
        }
        self.asked
    }
}

impl Jwks {
    /// Reads a file, for one that is not good won't get better by waiting; an issuer may be away, and is asked later.
    pub(super) fn new(auth: &AuthConfig) -> Result<Option<Self>, ConfigError> {
        let Some(url) = &auth.jwks_url else { return Ok(None) };
        let (source, keys) = match url {
            JwksUrl::File(path) => {
                let keys = read_file(path)
                    .map_err(|error| ConfigError::new(format!("auth.jwks_url = \"{url}\": {error}")))?;
                (Source::File(path.as_path().into()), Some(Arc::new(keys)))
            }
            JwksUrl::Http(url) => {
                (Source::Http(Box::new(Fetcher::new(url, auth.jwks_ca.as_deref(), NAMED)?)), None)
            }
        };
        // The first fetch is under way from the start: whoever comes before its end waits for it.
        let asked = keys.is_none();
        Ok(Some(Self {
            source,
            interval: Duration::from_secs(auth.jwks_refresh_seconds),
            patience: PATIENCE.min(Duration::from_millis(auth.deadline_ms / 2)),
            keys: RwLock::new(keys),
            round: watch::Sender::new(Round { asked, at: None }),
        }))
    }

    /// Whether they were had once.
    pub(super) fn are_there(&self) -> bool {
        self.keys.read().is_some()
    }

    /// The key of this name, if it is good for the algorithm.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Pinned, AuthError> {
        // Before the look: a fetch that ends between the two is not missed.
        let mut round = self.round.subscribe();
        let known = self.look(kid, algorithm);
        let wait = match known {
            Ok(Err(NoKey::Unknown)) => self.ask(),
            Ok(found) => return found.map_err(AuthError::from),
            Err(_) => round.borrow().asked,
        };
        if wait {
            // In vain or not, what is there then counts.
            let _ = timeout(self.patience, round.wait_for(|round| !round.asked)).await;
        }
        self.look(kid, algorithm)?.map_err(AuthError::from)
    }

    /// Looks in what is there; the outer error is that there is nothing yet.
    fn look(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Result<Pinned, NoKey>, AuthError> {
        let keys = self.keys.read();
        let keys = keys.as_ref().ok_or(AuthError::Unavailable(NOT_YET))?;
        Ok(keys.find(kid, algorithm))
    }

    /// Asks for a fetch; whether there is one to wait for.
    fn ask(&self) -> bool {
        let mut wait = false;
        self.round.send_if_modified(|round| {
            let before = round.asked;
            wait = round.ask(Instant::now());
            round.asked != before
        });
        wait
    }

    /// Fetches: now if there are no keys, and then whenever it is time or somebody asks.
    pub(super) async fn refresh(&self, mut told: impl FnMut(FetchResult)) {
        let mut round = self.round.subscribe();
        let mut again = AGAIN;
        loop {
            let pause = if self.are_there() { self.interval } else { again };
            let asked = timeout(pause, round.wait_for(|round| round.asked)).await.is_ok();
            let fetched = self.fetch().await;
            if fetched.is_err() && !self.are_there() && !asked {
                again = (again * 2).min(APART);
            }
            told(fetched);
            // What was asked for during a fetch that had begun before is not answered by it.
            if asked {
                self.round.send_modify(|round| round.asked = false);
            }
        }
    }

    /// Fetches before anybody is believed by them. Nobody waits for another fetch then.
    pub(super) async fn fetch_first(&self) -> FetchResult {
        self.fetch().await?;
        self.round.send_modify(|round| round.asked = false);
        Ok(())
    }

    async fn fetch(&self) -> FetchResult {
        let keys = match &self.source {
            Source::File(path) => read_file(path)?,
            Source::Http(fetcher) => KeySet::from_jwks(&fetcher.fetch().await?)?,
        };
        let before = self.keys.write().replace(Arc::new(keys));
        if let Some(keys) = self.keys.read().as_ref()
            && before.is_none_or(|before| before.names() != keys.names())
        {
            let (kids, passed_over) = (keys.names(), &keys.passed_over);
            tracing::info!(?kids, ?passed_over, "the keys of tokens are new");
        }
        Ok(())
    }
}

const NOT_YET: &str = "the keys that tokens are signed with could not be fetched yet: try again in a while, and let \
                       whoever runs the gateway look at its log (auth.jwks_url)";

fn read_file(path: &Path) -> Result<KeySet, JwksError> {
    let text = fs::read(path).map_err(FetchError::File)?;
    if text.len() > MAX_BYTES {
        return Err(FetchError::TooLarge.into());
    }
    Ok(KeySet::from_jwks(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_cost_a_fetch_each_half_minute() {
        let start = Instant::now();
        let mut round = Round { asked: false, at: None };
        assert!(round.ask(start), "the first one asks");
        assert!(round.ask(start + APART * 2), "and others wait for the same, however long it takes");
        assert_eq!(round.at, Some(start));
        round.asked = false;
        assert!(!round.ask(start + APART - Duration::from_millis(1)), "too early");
        assert!(round.ask(start + APART));
        assert_eq!(round.at, Some(start + APART));
    }
}
