//! How Redis is reached.

use std::{fmt, time::Duration};

use fred::{
    clients::Client,
    socket2::TcpKeepalive,
    types::{
        RespVersion,
        config::{
            Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig,
            UnresponsiveConfig,
        },
    },
};

use super::tls::{self, RedisTls};
use crate::{BusError, Retentions};

/// When an append is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// When the primary has it. A failover may lose what the replicas did not get yet; whoever saw it is told.
    Local,
    /// When so many replicas have it, too. One that could not be confirmed is answered
    /// [`BusError::Unavailable`], and the same key again is safe. With fewer than all replicas of a primary, one
    /// that lacks it may be promoted.
    Replicated(u32),
}

/// How to reach Redis, and what to keep there.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[[user]:password@]host[:port][/database]`,
    /// `redis-cluster://[[user]:password@]host[:port][,host[:port]…]`, or
    /// `redis-sentinel://[[user]:password@]host[:port][,host[:port]…]/service[/database]`; with `rediss` in the place
    /// of `redis` all of it goes over TLS, and nothing without.
    pub url: String,
    /// Whom to trust with `rediss`; whom the system trusts by default.
    pub tls: RedisTls,
    /// This node's name.
    pub node: String,
    /// How much of each room's log is kept.
    pub retentions: Retentions,
    /// When an append is answered; [`Ack::Local`] by default.
    pub ack: Ack,
    /// How long a command may take before it counts as failed; 5 s by default.
    pub command_timeout: Duration,
    /// How long opening a connection may take; 2 s by default. [`RedisBus::connect`](super::RedisBus::connect)
    /// waits as long for the first one.
    pub connect_timeout: Duration,
    /// How often the paths to and from Redis are probed; 500 ms by default. After four probes without an answer a
    /// path is down.
    pub probe_interval: Duration,
    /// After how long the head of a room that is still followed is given its full life again; 24 h by default, far
    /// less than the 30 days that it lives.
    pub renew_interval: Duration,
    /// How often the node says that it lives; 2 s by default. After three of them without a sign the others take it for
    /// gone, and whoever was in a room by way of it.
    pub beat_interval: Duration,
}

impl RedisConfig {
    /// The defaults.
    pub fn new(url: &str, node: &str, retentions: impl Into<Retentions>) -> Self {
        Self {
            url: url.to_owned(),
            tls: RedisTls::default(),
            node: node.to_owned(),
            retentions: retentions.into(),
            ack: Ack::Local,
            command_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            probe_interval: Duration::from_millis(500),
            renew_interval: Duration::from_hours(24),
            beat_interval: Duration::from_secs(2),
        }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("node", &self.node)
            .field("retentions", &self.retentions)
            .finish_non_exhaustive()
    }
}

/// Where a URL leads.
#[cfg_attr(test, derive(Debug))]
pub(super) struct Place {
    /// How to connect to a server of it.
    pub(super) config: Config,
    /// The nodes of a cluster that are asked for the others; none for what is no cluster.
    pub(super) seeds: Vec<Server>,
}

/// Reads the URL. fred's own way to name further hosts, `?node=host:port`, is understood as well.
pub(super) fn parse(config: &RedisConfig) -> Result<Place, BusError> {
    let wrong = |what: &str| {
        BusError::Config(format!(
            "the Redis URL {what}: it should be like redis://[[user]:password@]host[:port][/database], \
             redis-cluster://[[user]:password@]host:port,host:port,... or \
             redis-sentinel://[[user]:password@]host:port,host:port,.../service, or the same with rediss for TLS"
        ))
    };
    let Some((scheme, rest)) = config.url.split_once("://") else { return Err(wrong("has no scheme")) };
    // fred would take whom the system trusts, and nobody else.
    let (scheme, secure) = match scheme.strip_prefix("rediss") {
        Some(shape) => (format!("redis{shape}"), true),
        None => (scheme.to_owned(), false),
    };
    let (parsed, what) = match &*scheme {
        "redis" => {
            (Config::from_url_centralized(&format!("redis://{rest}")), "has no valid host, port or database")
        }
        "redis-cluster" => {
            let (url, path) = single_host(&scheme, rest, 6379);
            if !path.is_empty() {
                return Err(wrong("names a database, and a cluster has only one"));
            }
            (Config::from_url_clustered(&url), "has no valid hosts and ports")
        }
        "redis-sentinel" => {
            let (url, path) = single_host(&scheme, rest, 26_379);
            let (service, database) = path.split_once('/').unwrap_or((path, ""));
            let mut url = url;
            if !service.is_empty() {
                let mark = if url.contains('?') { '&' } else { '?' };
                url = format!("{url}{mark}sentinelServiceName={service}");
            }
            let parsed = Config::from_url_sentinel(&url).and_then(|mut parsed| {
                parsed.database = if database.is_empty() { None } else { Some(database.parse()?) };
                Ok(parsed)
            });
            (parsed, "has no valid hosts and ports, service or database")
        }
        _ => return Err(wrong("has another scheme than redis, redis-cluster, redis-sentinel and rediss")),
    };
    let mut parsed = parsed.map_err(|_| wrong(what))?;
    parsed.version = RespVersion::RESP3;
    parsed.tls = if secure { Some(tls::connector(&config.tls)?.into()) } else { None };
    // A gateway may start before Redis does.
    parsed.fail_fast = false;
    let (hosts, seeds) = match &parsed.server {
        ServerConfig::Clustered { hosts, .. } => (hosts.clone(), hosts.clone()),
        ServerConfig::Sentinel { hosts, .. } => (hosts.clone(), Vec::new()),
        ServerConfig::Centralized { .. } => (Vec::new(), Vec::new()),
    };
    if hosts.iter().any(|server| server.host.is_empty()) {
        return Err(wrong("has an empty host"));
    }
    Ok(Place { config: parsed, seeds })
}

/// Makes `login@a:1,b:2/path?query` a URL with one host, the others being named as fred wants them; and gives the
/// path, which stands in none of fred's URLs.
fn single_host<'a>(scheme: &str, rest: &'a str, port: u16) -> (String, &'a str) {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, place) = rest.rsplit_once('@').map_or(("", rest), |(login, place)| (login, place));
    let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
    let mut hosts = hosts.split(',');
    let at = if login.is_empty() { "" } else { "@" };
    let url = format!("{scheme}://{login}{at}{}", hosts.next().unwrap_or_default());
    let others = hosts
        .map(|host| if host.contains(':') { format!("node={host}") } else { format!("node={host}:{port}") });
    let query: Vec<String> = others.chain(Some(query.to_owned()).filter(|query| !query.is_empty())).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    (format!("{url}{mark}{}", query.join("&")), path)
}

/// The same place, but one server of it.
pub(super) fn at(config: &Config, server: &Server) -> Config {
    Config { server: ServerConfig::Centralized { server: server.clone() }, ..config.clone() }
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
        RedisConfig::new(url, "n", crate::Retention { length: 1000, age_ms: 1000 })
    }

    #[test]
    fn urls() {
        for good in [
            "redis://localhost",
            "redis://:secret@[::1]:7000/3",
            "redis://u:p@redis.example:6379/",
            "redis-cluster://a:7000",
            "redis-cluster://u:p@a,b,c:7000",
            "redis-cluster://:p@a:7000?node=b:7000&node=c:7000",
            "redis-sentinel://a,b:26380,c/chorus",
            "redis-sentinel://u:p@a:26379/chorus/3",
            "redis-sentinel://a?sentinelServiceName=chorus&sentinelPassword=p&node=b:26379",
        ] {
            let place = parse(&config(good)).unwrap_or_else(|error| panic!("{good}: {error}"));
            assert!(!place.config.uses_tls(), "{good}");
            let good = good.replacen("redis", "rediss", 1);
            let place = parse(&config(&good)).unwrap_or_else(|error| panic!("{good}: {error}"));
            assert!(place.config.uses_tls(), "{good}");
        }
        for bad in [
            "",
            "localhost:6379",
            "rediss:/h",
            "rediss-sentinel://h",
            "redisss://h",
            "redis-cluster://",
            "redis-cluster://h/1",
            "redis-cluster://h,h:secret",
            "redis-cluster://h,,h",
            "redis-sentinel://h",
            "redis-sentinel://h/service/secret",
            "redis-sentinel:///service",
            "redis://",
            "redis://h:secret",
            "redis://:secret@h/x",
        ] {
            let Err(error) = parse(&config(bad)) else { panic!("{bad} was taken") };
            assert!(error.to_string().contains("redis://[[user]:password@]host"), "{bad}: {error}");
            assert!(!error.to_string().contains("secret"), "{bad}: {error}");
        }
        let place = parse(&config("redis-cluster://u:p@a,b,c:7000")).unwrap();
        let mut seeds: Vec<_> = place.seeds.iter().map(ToString::to_string).collect();
        seeds.sort();
        assert_eq!(seeds, ["a:6379", "b:6379", "c:7000"]);
        assert_eq!(place.config.username.as_deref(), Some("u"));
        assert!(!format!("{:?}", config("redis://:secret@h")).contains("secret"));
    }
}
