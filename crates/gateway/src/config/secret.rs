//! Texts that must not be seen, wherever a configuration or a credential is printed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const HIDDEN: &str = "(hidden)";

/// A key, a token, a ticket: printed and serialised as `(hidden)`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

/// Where Redis is. Printed and serialised without its password and its query, which may hold one too.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// Takes `redis://[[user]:password@]host[:port][/database]` and its relatives; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
        (scheme.starts_with("redis") && !host.is_empty() && graphic).then(|| Self(text.to_owned()))
    }

    /// The whole URL.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("rediss")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        write!(f, "{scheme}://")?;
        // The last `@` of all, so that a password which should have been escaped is not shown by halves.
        let place = match rest.rsplit_once('@') {
            None => rest,
            Some((login, place)) => {
                // What has no colon may be a user, but whoever forgot the colon wrote a password.
                let user = login.split_once(':').map_or("", |(user, _)| user);
                write!(f, "{user}:{HIDDEN}@")?;
                place
            }
        };
        match place.split_once('?') {
            None => f.write_str(place),
            Some((place, _)) => write!(f, "{place}?{HIDDEN}"),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RedisUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RedisUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a Redis URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()),
            r#"(hidden) "(hidden)""#
        );

        for (url, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://:hunter2@db/0", "redis://:(hidden)@db/0"),
            ("redis://chat:hunter2@db:6379", "redis://chat:(hidden)@db:6379"),
            ("rediss-cluster://chat:hunter2@db:6379,b", "rediss-cluster://chat:(hidden)@db:6379,b"),
            ("redis://hunter2@db", "redis://:(hidden)@db"),
            ("redis://a:hunter2@x@db", "redis://a:(hidden)@db"),
            ("redis://a:hun?te/r2@db", "redis://a:(hidden)@db"),
            ("redis-sentinel://db:26379?sentinelPassword=hunter2", "redis-sentinel://db:26379?(hidden)"),
        ] {
            let url = RedisUrl::parse(url).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(serde_json::to_value(&url).unwrap(), shown);
        }
    }

    #[test]
    fn what_is_not_a_redis_url() {
        for bad in
            ["", "127.0.0.1:6379", "http://db", "redis://", "redis:///0", "redis://user@", "redis://a b"]
        {
            assert_eq!(RedisUrl::parse(bad), None, "{bad}");
        }
    }
}
