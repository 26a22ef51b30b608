//! What can go wrong.

use super::arena::Shape;
use super::random::Random;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal;)*) => {
        /// A fault, by what it is done to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];

            /// What it is called in a table.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    /// SIGKILL, and a start some time later.
    GatewayKilled = "gateway: SIGKILL";
    /// SIGTERM, a drain, and a start.
    GatewayDrained = "gateway: SIGTERM";
    /// SIGSTOP for longer than a heartbeat.
    GatewayFrozen = "gateway: SIGSTOP";
    /// All of them drained and started, one after the other.
    RollingRestart = "gateways: rolling restart";
    /// Drained, and started with another configuration.
    GatewayReconfigured = "gateway: another configuration";
    /// One more, under load, and away again.
    GatewayJoins = "gateway: joins and leaves";
    /// SIGTERM and a start, with its append-only file.
    RedisRestarted = "redis: restart";
    /// SIGKILL and a start; nothing acknowledged may be lost.
    RedisKilled = "redis: SIGKILL";
    /// Gone for 3, 12 or 45 seconds.
    RedisGone = "redis: gone for long";
    /// `appendfsync everysec`, and the machine ends before the last second was on disk.
    RedisCrashed = "redis: machine crash, everysec";
    /// Comes back with what it held some time ago.
    RedisRestored = "redis: older snapshot";
    /// FLUSHALL.
    RedisFlushed = "redis: FLUSHALL";
    /// SIGSTOP for 1 to 30 seconds.
    RedisFrozen = "redis: SIGSTOP";
    /// CLIENT PAUSE.
    RedisPaused = "redis: CLIENT PAUSE";
    /// CLIENT KILL of all subscribers.
    SubscribersCut = "redis: CLIENT KILL pubsub";
    /// CLIENT KILL of all others.
    PublishersCut = "redis: CLIENT KILL normal";
    /// SCRIPT FLUSH and FUNCTION FLUSH.
    ScriptsFlushed = "redis: SCRIPT FLUSH";
    /// The output buffer's limit shrunk, while large messages go to subscribers behind a slow network.
    OutputBufferShrunk = "redis: output buffer cut";
    /// `maxmemory` below what is used, under `noeviction`.
    OutOfMemory = "redis: out of memory";
    /// SIGKILL of a primary, a replica in its place, and a start.
    PrimaryKilled = "primary: SIGKILL";
    /// The same when its replicas had not copied anything for a while.
    PrimaryLost = "primary: SIGKILL, replicas behind";
    /// SIGSTOP of a primary, for less or more than it takes to be missed.
    PrimaryFrozen = "primary: SIGSTOP";
    /// A primary that gateways reach, but neither replicas nor sentinels; and back as a replica.
    PrimaryCutOff = "primary: cut off";
    /// CLUSTER FAILOVER, SENTINEL FAILOVER.
    FailoverAsked = "primary: failover on demand";
    /// SIGKILL of a replica, and a start.
    ReplicaKilled = "replica: SIGKILL";
    /// SIGKILL of a sentinel, and a start.
    SentinelKilled = "sentinel: SIGKILL";
    /// Slots of busy rooms moved between primaries, key by key.
    SlotsMoved = "cluster: slots moved";
    /// A primary and its replica more, which get slots, and away again.
    ClusterGrows = "cluster: nodes join and leave";
    /// No connection between some gateways and Redis.
    NetworkCut = "network: cut";
    /// What a gateway sends does not arrive.
    NetworkDeafUp = "network: half-open to redis";
    /// What Redis sends does not arrive.
    NetworkDeafDown = "network: half-open from redis";
    /// Everything takes longer.
    NetworkDelayed = "network: delayed";
    /// Little goes through.
    NetworkThrottled = "network: throttled";
    /// Commands arrive, their replies do not, and the connection is cut.
    RepliesLost = "network: replies lost";
    /// Clients cut without a close.
    ClientsCut = "clients: cut";
    /// All clients cut at once.
    EveryoneReconnects = "clients: all reconnect";
    /// Ten thousand clients cut at once, and back at once.
    HerdReconnects = "clients: ten thousand reconnect";
    /// Clients that read a frame now and then.
    SlowReaders = "clients: slow readers";
    /// Clients that do not read.
    SilentReaders = "clients: silent readers";
    /// A second one begins while the first lasts.
    TwoAtOnce = "two at once";
}

impl Fault {
    /// Whether a shape knows it.
    pub fn is_of(self, shape: Shape) -> bool {
        let (single, cluster, sentinel) = (
            matches!(shape, Shape::Single),
            matches!(shape, Shape::Cluster(_)),
            matches!(shape, Shape::Sentinel(_)),
        );
        match self {
            Self::RedisKilled | Self::RedisFrozen | Self::RedisCrashed | Self::RedisRestored => single,
            Self::PrimaryKilled
            | Self::PrimaryLost
            | Self::PrimaryFrozen
            | Self::FailoverAsked
            | Self::ReplicaKilled => !single,
            Self::PrimaryCutOff | Self::SentinelKilled => sentinel,
            Self::SlotsMoved | Self::ClusterGrows => cluster,
            _ => true,
        }
    }
}

impl Fault {
    /// Whether it may keep a gateway and a server apart.
    pub fn reaches_servers(self) -> bool {
        !["gateway", "clients"].iter().any(|harmless| self.name().starts_with(harmless))
    }
}

impl Fault {
    /// Whether a gateway may not hear, or not say, for a while what all are told.
    pub fn keeps_news_away(self) -> bool {
        let stops_one = matches!(self, Self::GatewayFrozen | Self::HerdReconnects | Self::TwoAtOnce);
        stops_one || self.reaches_servers()
    }
}

/// Some that differ much, for a run of less than a minute.
pub const SHORT: &[Fault] = &[
    Fault::GatewayKilled,
    Fault::SubscribersCut,
    Fault::RedisKilled,
    Fault::RepliesLost,
    Fault::GatewayJoins,
    Fault::RedisFlushed,
    Fault::NetworkDeafDown,
    Fault::EveryoneReconnects,
    Fault::RedisRestored,
    Fault::OutOfMemory,
    Fault::GatewayDrained,
    Fault::TwoAtOnce,
];

/// The same for a cluster.
pub const SHORT_CLUSTER: &[Fault] =
    &[Fault::SlotsMoved, Fault::PrimaryKilled, Fault::FailoverAsked, Fault::RepliesLost, Fault::ClusterGrows];

/// The same for sentinels.
pub const SHORT_SENTINEL: &[Fault] = &[Fault::SentinelKilled, Fault::PrimaryKilled, Fault::SubscribersCut];

/// So many faults in an order that the seed decides: all that the shape knows once, then all again. Only those whose names
/// hold `only`; none when there is no such fault.
pub fn deck(shape: Shape, only: &str, count: usize, random: &mut Random) -> Vec<Fault> {
    let wanted = |fault: &Fault| fault.is_of(shape) && fault.name().contains(only);
    let faults: Vec<Fault> = Fault::ALL.iter().copied().filter(wanted).collect();
    let mut deck = Vec::new();
    while deck.len() < count && !faults.is_empty() {
        let mut round = faults.clone();
        random.shuffle(&mut round);
        deck.extend(round);
    }
    deck.truncate(count);
    deck
}
