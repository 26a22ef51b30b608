//! How Redis is reached.

use std::{fmt, time::Duration};

use fred::{
    clients::Client,
    socket2::TcpKeepalive,
    types::{
        RespVersion,
        config::{
            Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
        },
    },
};

use crate::{BusError, Retention};

/// How to reach Redis, and what to keep there.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[[user]:password@]host[:port][/database]`.
    pub url: String,
    /// This node's name.
    pub node: String,
    /// How much of each room's log is kept.
    pub retention: Retention,
    /// How long a command may take before it counts as failed; 5 s by default.
    pub command_timeout: Duration,
    /// How long opening a connection may take; 2 s by default. [`RedisBus::connect`](super::RedisBus::connect)
    /// waits as long for the first one.
    pub connect_timeout: Duration,
    /// How often the paths to and from Redis are probed; 500 ms by default. After four probes without an answer a
    /// path is down.
    pub probe_interval: Duration,
}

impl RedisConfig {
    /// The defaults.
    pub fn new(url: &str, node: &str, retention: Retention) -> Self {
        Self {
            url: url.to_owned(),
            node: node.to_owned(),
            retention,
            command_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_millis(500),
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("node", &self.node)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

/// Reads the URL. The message says what would be right and repeats nothing of it.
pub(super) fn parse(config: &RedisConfig) -> Result<Config, BusError> {
    const RIGHT: &str = "redis://[[user]:password@]host[:port][/database]";
    let wrong = |what: &str| BusError::Config(format!("the Redis URL {what}; it must be {RIGHT}"));
    let Some((scheme, _)) = config.url.split_once("://") else { return Err(wrong("has no scheme")) };
    if scheme != "redis" {
        return Err(wrong("has another scheme than redis"));
    }
    let parsed = Config::from_url_centralized(&config.url);
    let mut parsed = parsed.map_err(|_| wrong("has no valid host, port or database"))?;
    parsed.version = RespVersion::RESP3;
    // A gateway may start before Redis does.
    parsed.fail_fast = false;
    Ok(parsed)
}

/// A client that reconnects for ever and never sends a command twice.
pub(super) fn client(parsed: Config, config: &RedisConfig, messages: usize) -> Client {
    let connection = ConnectionConfig {
        connection_timeout: config.connect_timeout,
        internal_command_timeout: config.connect_timeout,
        // Whether a lost append is sent again is for its sender to say.
        max_command_attempts: 1,
        max_command_buffer_len: 65_536,
        tcp: TcpConfig {
            nodelay: Some(true),
            keepalive: Some(
                TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)),
            ),
            user_timeout: Some(Duration::from_secs(15)),
            ..TcpConfig::default()
        },
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(2 * config.command_timeout),
            interval: Duration::from_secs(1),
        },
        ..ConnectionConfig::default()
    };
    let performance = PerformanceConfig {
        default_command_timeout: config.command_timeout,
        broadcast_channel_capacity: messages,
        ..PerformanceConfig::default()
    };
    // Its jitter of 100 ms keeps the nodes of a cluster from coming back all at once.
    let policy = ReconnectPolicy::new_exponential(0, 20, 1000, 2);
    Client::new(parsed, Some(performance), Some(connection), Some(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> RedisConfig {
        RedisConfig::new(url, "n", Retention { length: 1000, age_ms: 1000 })
    }

    #[test]
    fn urls() {
        for good in ["redis://localhost", "redis://:secret@[::1]:7000/3", "redis://u:p@redis.example:6379/"] {
            assert!(parse(&config(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:6379",
            "rediss://h",
            "redis-cluster://h",
            "redis://",
            "redis://h:secret",
            "redis://:secret@h/x",
        ] {
            let Err(error) = parse(&config(bad)) else { panic!("{bad} was taken") };
            assert!(error.to_string().contains("redis://[[user]:password@]host"), "{bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{bad}: {error}");
        }
        assert!(!format!("{:?}", config("redis://:secret@h")).contains("secret"));
    }
}
