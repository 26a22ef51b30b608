//! The configuration: every setting, its meaning, its default and its bounds, once.
//!
//! Four layers, each above the one before: the defaults below, a TOML file, `CHORUS_*` environment variables,
//! flags. `docs/CONFIGURATION.md` is made from the declarations below, and a test keeps it so.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::auth::Rights;

#[macro_use]
mod setting;
mod change;
mod check;
mod collector;
mod in_force;
mod jwks;
mod load;
mod namespace;
mod network;
#[cfg(test)]
mod page;
mod secret;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use collector::CollectorUrl;
pub use in_force::{InForce, Now};
pub use jwks::JwksUrl;
pub use load::{ConfigError, Sources};
pub use namespace::{Namespace, Namespaces};
pub use secret::{RedisUrl, Secret};
use setting::{Expected, Setting, When, list};

settings! {
    /// Everything that can be set.
    Config {
        /// Where clients connect, for WebSocket and HTTP alike; port 0 takes a free one. Loopback, so that a
        /// first try concerns nobody else.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
            "an IP address and a port, such as 127.0.0.1:8080 or [::]:8080";
        /// Another listener for `/metrics`, which then is not on the first one, and for `/healthz` and
        /// `/readyz`, which are on both.
        metrics_listen: Option<SocketAddr> = None, "an IP address and a port, such as 127.0.0.1:9090";
        /// This node's name in logs, in `welcome` and in Redis. Each start of a node has an incarnation of
        /// its own besides, so that two nodes of one name do no harm.
        node: String = load::host_name(), "a name of 1 to 64 printable ASCII characters";
        /// The Redis that carries rooms between nodes: one server (`redis://user:password@host:6379/0`), a
        /// cluster (`redis-cluster://user:password@host:6379,host:6379`, some of its nodes or all), or what
        /// sentinels watch (`redis-sentinel://user:password@host:26379,host:26379/service`; what the sentinels
        /// themselves ask for is `?sentinelUsername=` and `?sentinelPassword=`). With `rediss` in the place of
        /// `redis` all of it goes over TLS. Without one a node keeps rooms in its own memory, and is alone.
        redis_url: Option<RedisUrl> = None, "a URL such as redis://user:password@host:6379/0";
        /// The sites whose pages may connect. With none listed, a page may connect to the host that it came
        /// from; with any, the host of the built-in pages has to be among them.
        allowed_origins: Vec<String> = Vec::new(), list("origins such as https://chat.example.com"), AtOnce;
        /// Keys for the server's side of the HTTP API. They open every room: make them long and random.
        api_keys: Vec<Secret> = Vec::new(),
            list("keys of at least 16 bytes each, as from `openssl rand -hex 32`"), AtOnce;
        /// The proxies whose `X-Forwarded-For` is believed. Without them a client's address is its socket's.
        #[serde(deserialize_with = "network::list")]
        trusted_proxies: Vec<IpNet> = Vec::new(), list("IP addresses and networks such as 10.0.0.0/8"), AtOnce;
        /// Seconds between SIGTERM and the end, over which the closing of the connections is spread. Whoever
        /// starts the process must wait longer than that before killing it.
        drain_seconds: u64 = 10, 0..=3600, AtOnce;
        /// Whether the pages are served: the chat at `/`, `/tester` and `/cluster`. They may do no more than any client.
        pages: bool = true, Expected::Either;
        /// Which log lines are written, to standard error.
        log: String = "info".to_owned(), "a filter such as info or warn,gateway=debug", AtOnce;
        /// How log lines look: `text` for people, `json` for collectors.
        log_format: LogFormat = LogFormat::Text, "text or json";
        /// The share of the connections that end as they should whose end is a line in the log; what a client did not want
        /// always is one. See docs/OPERATIONS.md.
        log_connections: f64 = 1.0, Expected::Share, AtOnce;
        /// Where traces of messages go.
        otlp: OtlpConfig = OtlpConfig::default(), OtlpConfig::settings();
        /// TLS on `listen`: 1.3 and 1.2, with HTTP/1.1 in it. Without these files clients connect in the clear, as a proxy
        /// does that ends TLS; whoever asks for metrics on `metrics_listen` always does. The paths are taken when the node
        /// starts, and what lies there is read again whenever it changes: see [below](#tls-in-the-gateway).
        tls: TlsConfig = TlsConfig::default(), TlsConfig::settings();
        /// How Redis is reached over TLS.
        redis: RedisConfig = RedisConfig::default(), RedisConfig::settings();
        /// How clients prove who they are.
        auth: AuthConfig = AuthConfig::default(), AuthConfig::settings();
        /// What a client, an address and the node may use.
        limits: LimitsConfig = LimitsConfig::default(), LimitsConfig::settings();
        /// How much of a room's log is kept.
        history: HistoryConfig = HistoryConfig::default(), HistoryConfig::settings();
        /// How much of the rooms' logs a node holds in memory.
        tail: TailConfig = TailConfig::default(), TailConfig::settings();
        /// How dead connections are found.
        heartbeat: HeartbeatConfig = HeartbeatConfig::default(), HeartbeatConfig::settings();
        /// What holds in every room.
        rooms: RoomsConfig = RoomsConfig::default(), RoomsConfig::settings();
        /// Who is in which room.
        presence: PresenceConfig = PresenceConfig::default(), PresenceConfig::settings();
        /// What holds in the rooms of a namespace, the part of a room's name before the first `:` (`@` for users' own
        /// rooms), in the place of what holds in all: a table for each, `[namespaces.team]`.
        #[serde(skip_serializing_if = "Namespaces::is_empty")]
        namespaces: Namespaces = Namespaces::default(), NamespaceConfig::settings();
        /// What is there to look into a node, and for nothing else.
        diagnostics: DiagnosticsConfig = DiagnosticsConfig::default(), DiagnosticsConfig::settings();
    }
}

settings! {
    /// Where traces of messages go: to a collector that speaks OTLP over HTTP.
    OtlpConfig {
        /// The collector. Spans go to `/v1/traces` below it, as with `OTEL_EXPORTER_OTLP_ENDPOINT`. Without it nothing is
        /// traced. Headers that it asks for stand in the environment, in `OTEL_EXPORTER_OTLP_HEADERS`.
        endpoint: Option<CollectorUrl> = None, "a URL such as http://collector:4318";
        /// The certificates of those who may sign the collector's; nobody else is trusted then. When it is not set, whom the
        /// system trusts.
        ca: Option<PathBuf> = None, "the path of a PEM file";
        /// The share of messages that begin a trace here. What a server posts with a `traceparent` is traced if that says so,
        /// and not counted.
        sample: f64 = 0.01, Expected::Share, AtOnce;
    }
}

settings! {
    /// The certificate that clients are shown; with none they connect in the clear. Both files or neither.
    TlsConfig {
        /// The node's certificate, with those between it and its CA, its own first.
        certificate: Option<PathBuf> = None, "the path of a PEM file";
        /// The key of `certificate`. One of ECDSA costs each handshake a small part of what one of RSA does.
        key: Option<PathBuf> = None, "the path of a PEM file";
    }
}

settings! {
    /// Whom to trust, and what to show, when `redis_url` begins with `rediss`. The files are read when the node starts.
    RedisConfig {
        /// The certificates of those who may sign Redis', as `tls-ca-cert-file` in `redis.conf`; nobody else is
        /// trusted then. When it is not set, whom the system trusts.
        tls_ca: Option<PathBuf> = None, "the path of a PEM file";
        /// This node's own certificate, with those between it and its CA. A Redis asks for one unless it is told
        /// not to (`tls-auth-clients no`).
        tls_cert: Option<PathBuf> = None, "the path of a PEM file";
        /// The key of `tls_cert`.
        tls_key: Option<PathBuf> = None, "the path of a PEM file";
    }
}

settings! {
    /// How clients prove who they are.
    AuthConfig {
        /// The key that tokens are signed with (HS256, HS384 or HS512). Without any key and without a Redis
        /// the node is in development mode: it makes a key, and gives guests a token.
        jwt_secret: Option<Secret> = None,
            "a secret; where others than this machine can connect at least 32 random bytes, as HS256 needs (RFC 7518, section 3.2): try `openssl rand -base64 32`", AtOnce;
        /// The public key of whoever signs tokens (RS256/384/512, PS256/384/512, ES256, ES384 or `EdDSA`), read when the
        /// configuration is. A token's `kid` is not looked at then.
        jwt_public_key: Option<PathBuf> = None, "the path of a PEM file (BEGIN PUBLIC KEY)", AtOnce;
        /// The public keys of whoever signs tokens, as a JWKS: the `jwks_uri` of an identity provider, or a file. It is
        /// fetched again from time to time, and when a token names a key that is not in it; while it can't be had,
        /// the keys of before hold. A redirect is not followed.
        jwks_url: Option<JwksUrl> = None,
            "a URL such as https://login.example.com/.well-known/jwks.json, or the path of a file", AtOnce;
        /// The certificates of those who may sign that of the server of `jwks_url`; nobody else is trusted then. When
        /// it is not set, whom the system trusts.
        jwks_ca: Option<PathBuf> = None, "the path of a PEM file", AtOnce;
        /// Seconds between two fetches of `jwks_url`: for so long a key that the issuer took back may still be believed.
        jwks_refresh_seconds: u64 = 300, 1..=86_400, AtOnce;
        /// The `aud` that every token must name. When it is not set, `aud` is not looked at.
        audience: Option<String> = None, "a text that is not empty", AtOnce;
        /// The `iss` that every token must name. When it is not set, `iss` is not looked at.
        issuer: Option<String> = None, "a text that is not empty", AtOnce;
        /// The cookie that a token is taken from, if the request's `Origin` is allowed.
        cookie: String = "chorus_token".to_owned(), "a cookie's name, of letters, digits and - _ .", AtOnce;
        /// Milliseconds that a client without a credential in its request has to send one. A slow phone needs
        /// two.
        deadline_ms: u64 = 5_000, 100..=60_000, NewConnections;
    }
}

settings! {
    /// What a client, an address and the node may use.
    LimitsConfig {
        /// Bytes of a message's `data`. A long text fits; what is larger belongs elsewhere, with a link to it
        /// in the message.
        data_bytes: usize = 16 * 1024, 1..=196_608, AtOnce;
        /// Bytes of a frame from a client: its `data`, a token of 8 KiB, and room for escapes and white
        /// space.
        frame_bytes: usize = 64 * 1024, 1024..=16_777_216, NewConnections;
        /// How deeply JSON may nest. Many parsers of clients give up at a hundred.
        json_depth: usize = 32, 2..=128, NewConnections;
        /// Rooms that a connection may be in at once.
        rooms_per_connection: usize = 100, 1..=10_000, NewConnections;
        /// Requests of a connection that may wait for their answer; with more, its socket is not read.
        requests_in_flight: usize = 64, 1..=10_000, NewConnections;
        /// Frames a second that a connection may send in the long run. People need two; programs may gather
        /// theirs.
        frames_per_second: u32 = 50, 1..=1_000_000, NewConnections;
        /// Frames that a connection may send at once before that rate holds, as a client does that joins all
        /// its rooms.
        frame_burst: u32 = 100, 1..=1_000_000, NewConnections;
        /// Malformed frames one after the other that end a connection.
        malformed_in_a_row: u32 = 10, 1..=10_000, NewConnections;
        /// Bytes a second of past events that a connection is sent, so that those who come back leave room
        /// for those who stayed.
        replay_bytes_per_second: u32 = 4 * 1024 * 1024, 1024..=1_073_741_824, NewConnections;
        /// Connections of the node. Each takes some 4 KB and one file descriptor: see `ulimit -Hn`; the soft limit a node
        /// raises by itself.
        connections: usize = 100_000, 1..=10_000_000, AtOnce;
        /// Connections from one address (of IPv6, from one /64), and as many again that have not said yet what they
        /// want, unless it is a trusted proxy's. An office behind one address is several hundred people.
        connections_per_address: usize = 1_000, 1..=10_000_000, AtOnce;
        /// Sessions that a user may have in the whole cluster, tabs and phones together; 0 for as many as it likes.
        sessions_per_user: u32 = 0, 0..=1_000_000, AtOnce;
        /// Messages, edits, deletions and reactions a second that a user may send in the long run, in all rooms and by all
        /// nodes together, and twice as many at once; 0 for as many as its connections may send. Where it is set, each
        /// costs a question to Redis.
        messages_per_second: u32 = 0, 0..=1_000_000, AtOnce;
        /// Calls of the HTTP API a second that a user may make of one node in the long run, and twice as many at once.
        calls_per_second: u32 = 50, 1..=1_000_000, AtOnce;
        /// The same for whoever has an API key, by key.
        server_calls_per_second: u32 = 1_000, 1..=1_000_000, AtOnce;
        /// New connections a second: about what one core can take in, so that everybody's return after an outage does not become the next one.
        accepts_per_second: u32 = 10_000, 1..=1_000_000, AtOnce;
        /// Bytes of replies that may wait for a connection that does not take them; one alone may be larger, as a page of
        /// history is that has up to 256 KiB.
        outbox_bytes: usize = 1024 * 1024, 16_384..=67_108_864, NewConnections;
        /// Milliseconds that a socket may take nothing at all before its connection is closed. It may resume
        /// from where it was.
        slow_consumer_ms: u64 = 30_000, 100..=3_600_000, NewConnections;
        /// Milliseconds that a request's headers may take to arrive, and before them a handshake of TLS.
        header_read_timeout_ms: u64 = 5_000, 100..=60_000, NewConnections;
        /// Bytes that the kernel may hold for a connection that reads slowly. Its own default is up to 1.5
        /// MB, and delivers no faster.
        send_buffer_bytes: usize = 64 * 1024, 4096..=16_777_216;
    }
}

settings! {
    /// How much of a room's log is kept.
    HistoryConfig {
        /// Events of a room that are kept at least. Redis trims in blocks and may keep a hundred more.
        length: u64 = 1_000, 1..=1_000_000, AtOnce;
        /// Seconds after a room's last event at which its log is dropped; in Redis up to half as many later. The room
        /// itself is forgotten after 30 days.
        age_seconds: u64 = 24 * 60 * 60, 1..=2_592_000, AtOnce;
        /// When a message is answered `ok`. `local`: when Redis has it; a failover may lose what the replicas did
        /// not have yet, and everybody who saw it is told. `replicated`: when replicas have it, too; otherwise
        /// the answer is `unavailable` after a second, and the same `id` again is safe.
        ack: Ack = Ack::Local, "local or replicated";
        /// Replicas that must have it with `replicated`, of each primary. A node refuses to start where there are
        /// fewer. Only with all of them does no failover lose a message, for one that lacks it may be promoted;
        /// but then nothing is answered `ok` while one is away.
        ack_replicas: u32 = 1, 1..=16;
    }
}

settings! {
    /// How much of the rooms' logs a node holds in memory, for those who lag or come back.
    TailConfig {
        /// Bytes of one room's latest events: a thousand short messages.
        bytes: usize = 256 * 1024, 1024..=67_108_864;
        /// Seconds that an event stays there. Who was away for longer reads from the bus.
        age_seconds: u64 = 60, 1..=86_400;
        /// Bytes of all rooms together.
        node_bytes: usize = 256 * 1024 * 1024, 1024..=68_719_476_736;
    }
}

settings! {
    /// How dead connections are found.
    HeartbeatConfig {
        /// Milliseconds between two pings; after two without a sign of life a connection is closed. Proxies
        /// often cut what is silent for a minute.
        interval_ms: u64 = 30_000, 100..=3_600_000;
    }
}

settings! {
    /// What holds in every room.
    RoomsConfig {
        /// What a user whose token names no rooms may do: `r` join and read, `w` post, `m` moderate.
        default_rights: Rights = Rights::READ_WRITE, "letters of r, w and m, or nothing", AtOnce;
        /// Members that a room may have, those excepted who come in the same moment; 0 for as many as come. It needs
        /// presence.
        members: u64 = 0, 0..=1_000_000_000, AtOnce;
        /// Whether those may post who have no right to moderate; without it a room is for announcements.
        members_may_post: bool = true, Expected::Either, AtOnce;
        /// Messages a second that a user may send into one room in the long run, by all nodes together, and twice as many
        /// at once; 0 for as many as its connections may send. Where it is set, each costs a question to Redis.
        messages_per_second: u32 = 0, 0..=1_000_000, AtOnce;
        /// Milliseconds that a room is still followed after its last member left, for a reload leaves and joins again at
        /// once. With presence it is followed at least until that has been told (`presence.gather_ms`).
        linger_ms: u64 = 2_000, 0..=600_000, AtOnce;
    }
}

settings! {
    /// Who is in which room.
    PresenceConfig {
        /// Whether it is kept at all.
        enabled: bool = true, Expected::Either, AtOnce;
        /// Above so many members only their number is told: nobody reads more names, and each coming and going would be told
        /// to all.
        max_members: u64 = 100, 0..=300, AtOnce;
        /// Milliseconds for which those who come and go are gathered, to be told of at once.
        gather_ms: u64 = 300, 10..=60_000, AtOnce;
    }
}

settings! {
    /// What holds in a namespace. What is not set is as everywhere.
    NamespaceConfig {
        /// As `history.length`.
        history_length: Option<u64> = None, 1..=1_000_000, AtOnce;
        /// As `history.age_seconds`.
        history_age_seconds: Option<u64> = None, 1..=2_592_000, AtOnce;
        /// As `presence.enabled`.
        presence: Option<bool> = None, Expected::Either, AtOnce;
        /// As `presence.max_members`.
        presence_max_members: Option<u64> = None, 0..=300, AtOnce;
        /// As `rooms.default_rights`.
        default_rights: Option<Rights> = None, "letters of r, w and m, or nothing", AtOnce;
        /// As `limits.data_bytes`.
        data_bytes: Option<usize> = None, 1..=196_608, AtOnce;
        /// As `rooms.messages_per_second`.
        messages_per_second: Option<u32> = None, 0..=1_000_000, AtOnce;
        /// As `rooms.members`.
        members: Option<u64> = None, 0..=1_000_000_000, AtOnce;
        /// As `rooms.members_may_post`.
        members_may_post: Option<bool> = None, Expected::Either, AtOnce;
    }
}

settings! {
    /// What is there to look into a node, and for nothing else.
    DiagnosticsConfig {
        /// Whether `/echo` is there: a WebSocket that sends back every message, through the same code and limits as
        /// `/ws`, for conformance runs. It asks nobody for a token, so not where strangers can connect.
        echo: bool = false, Expected::Either;
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When a message is answered `ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// When Redis has it.
    Local,
    /// When replicas of it have it, too.
    Replicated,
}

impl AuthConfig {
    /// Whether it says by which key tokens are believed.
    pub fn has_key(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_public_key.is_some() || self.jwks_url.is_some()
    }
}

impl Config {
    /// Puts the layers together and checks the result.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        load::load(sources)
    }

    /// Whether this is development mode: no key and no Redis. The node then makes a key of its own and hands
    /// guest tokens to whoever asks, so it listens on loopback only.
    pub fn development(&self) -> bool {
        !self.auth.has_key() && self.redis_url.is_none()
    }

    /// The key of a secret that could be guessed, if there is one: only on loopback does a node start with it.
    pub fn weak_secret(&self) -> Option<&'static str> {
        check::weak_secret(self)
    }

    /// The key of a setting by which a node without a Redis may have company that it can't hear, if there is one.
    pub fn company(&self) -> Option<&'static str> {
        check::company(self)
    }

    /// The configuration as a TOML file, with secrets hidden.
    pub fn to_toml(&self) -> String {
        // Serialising can't fail: every section is a table with text keys, and no plain value follows a
        // table.
        toml::to_string(self).unwrap_or_default()
    }
}
