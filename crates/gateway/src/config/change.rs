//! What a configuration that was read anew changes, and what of it has to wait for a restart.

use std::{collections::BTreeSet, sync::OnceLock};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Config, ConfigError, Namespaces, check, setting::When};

/// How a new configuration differs from the one before, by keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// The keys whose new values hold now. Those of limits of a connection hold for new connections.
    pub changed: Vec<String>,
    /// The keys whose new values hold after a restart; until then the old ones do.
    pub needs_restart: Vec<String>,
}

/// What a new value must do before it takes an old one's place.
pub(super) trait Settle {
    /// Notes a difference, and goes back to the running value where only a restart changes it.
    fn settle(&mut self, running: &Self, key: &str, when: When, change: &mut Change);
}

/// Plain settings; sections have none of these comparisons of their own.
impl<T: Clone + PartialEq> Settle for T {
    fn settle(&mut self, running: &Self, key: &str, when: When, change: &mut Change) {
        if self == running {
            return;
        }
        if when == When::Restart {
            change.needs_restart.push(key.to_owned());
            self.clone_from(running);
        } else {
            change.changed.push(key.to_owned());
        }
    }
}

impl Settle for Namespaces {
    fn settle(&mut self, running: &Self, key: &str, when: When, change: &mut Change) {
        let names: BTreeSet<String> = self.given.keys().chain(running.given.keys()).cloned().collect();
        for name in names {
            let before = running.given.get(&name).cloned().unwrap_or_default();
            match self.given.get_mut(&name) {
                Some(own) => own.settle(&before, &inner(key, &name), when, change),
                // Nothing is said of it any more: it is as everywhere.
                None => {
                    let mut nothing = super::NamespaceConfig::default();
                    nothing.settle(&before, &inner(key, &name), when, change);
                }
            }
        }
        // It was made of the other sections, which may have gone back to what they were.
        self.resolved = OnceLock::new();
    }
}

/// A setting's key in its section.
pub(super) fn inner(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

impl Config {
    /// Makes it ready to take the place of the one that runs: what only a restart changes stays as it is.
    ///
    /// # Errors
    /// When the two together can't work, or the node would enter or leave development mode.
    pub fn succeed(mut self, running: &Self) -> Result<(Self, Change), ConfigError> {
        let mut change = Change::default();
        self.settle(running, "", When::AtOnce, &mut change);
        if self.development() != running.development() {
            return Err(ConfigError::new(
                "auth.jwt_secret and the other keys of tokens: a node neither enters nor leaves development mode, where \
                 guests get tokens, while it runs: restart it",
            ));
        }
        check::check(&self).map_err(|check::Complaint { key, instead }| {
            let kept = change.needs_restart.join(", ");
            let instead = instead.unwrap_or("another value");
            ConfigError::new(format!(
                "{key} does not go with what stays until a restart ({kept}): expected {instead}"
            ))
        })?;
        Ok((self, change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RedisUrl, Secret, Sources};

    fn config(text: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(&Sources { file: Some(file.path().to_owned()), ..Sources::default() }).unwrap()
    }

    const RUNNING: &str = "
        api_keys = ['0123456789abcdef']
        [auth]
        jwt_secret = '0123456789abcdef0123456789abcdef'
        [limits]
        frame_burst = 7
        [namespaces.team]
        members = 3
        [namespaces.gone]
        data_bytes = 10
    ";

    #[test]
    fn what_can_is_taken_over_and_the_rest_stays_and_is_named() {
        let running = config(RUNNING);
        let new = config(
            "
            listen = '127.0.0.1:1'
            redis_url = 'redis://:hunter2@127.0.0.1'
            api_keys = ['fedcba9876543210']
            [auth]
            jwt_secret = 'fedcba9876543210fedcba9876543210'
            [limits]
            frame_burst = 8
            [tail]
            bytes = 2000
            [namespaces.team]
            members = 4
            [namespaces.new]
            history_length = 5
            ",
        );
        let (config, change) = new.succeed(&running).unwrap();
        assert_eq!(
            change.changed,
            [
                "api_keys",
                "auth.jwt_secret",
                "limits.frame_burst",
                "namespaces.gone.data_bytes",
                "namespaces.new.history_length",
                "namespaces.team.members"
            ]
        );
        assert_eq!(change.needs_restart, ["listen", "redis_url", "tail.bytes"]);
        assert_eq!((config.listen, config.tail.bytes), (running.listen, running.tail.bytes));
        assert!(config.redis_url.is_none());
        assert_eq!(config.auth.jwt_secret, Some(Secret::new("fedcba9876543210fedcba9876543210")));
        let room = |name| proto::RoomName::parse(name).unwrap();
        assert_eq!(config.namespace(&room("team:1")).members, 4);
        assert_eq!(config.namespace(&room("new:1")).history.length, 5);
        assert_eq!(config.namespace(&room("gone:1")).data_bytes, 16_384);
        assert_eq!(self::config(RUNNING).succeed(&running).unwrap().1, Change::default());
    }

    #[test]
    fn what_does_not_go_with_what_stays_is_refused() {
        // Good on loopback, where it says that it will listen; but until a restart it listens to everybody.
        let running = Config { listen: ([0, 0, 0, 0], 80).into(), ..config(RUNNING) };
        let new = config("[auth]\njwt_secret = 'short'");
        let error = new.succeed(&running).unwrap_err().to_string();
        assert!(
            error.contains("auth.jwt_secret") && error.contains("listen") && !error.contains("short"),
            "{error}"
        );
    }

    #[test]
    fn nobody_gets_guests_by_a_line_that_is_missing() {
        let error = Config::default().succeed(&config(RUNNING)).unwrap_err().to_string();
        assert!(error.contains("restart"), "{error}");
        let running = Config { redis_url: RedisUrl::parse("redis://127.0.0.1"), ..config(RUNNING) };
        // With the Redis of before it is not development mode, and would believe nobody.
        let error = Config::default().succeed(&running).unwrap_err().to_string();
        assert!(error.contains("auth.jwt_secret"), "{error}");
    }
}
