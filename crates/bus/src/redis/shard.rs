//! One primary: the connections to it, and what is known of them.
//!
//! A Redis alone and a service of sentinels are one shard. A cluster has one for each primary, each with
//! connections, subscriptions and probes of its own, so that a primary that is gone concerns its own rooms alone.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::config::{Config, Server},
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    call::Path,
    commits::Commits,
    config::{self, Ack, RedisConfig},
    inspect::Setup,
    pulse::Pulse,
    subscriber::Changes,
    tls,
};
use crate::BusError;

/// Messages that may wait between the connection and whoever takes them; beyond, the oldest are lost and the heads
/// are compared.
const MESSAGES: usize = 8192;

pub(super) struct Shard {
    /// Where it is, in a cluster. Elsewhere the URL or the sentinels say it.
    pub(super) server: Option<Server>,
    pub(super) commands: Client,
    /// An append that waits for replicas holds up what is sent behind it, so such appends have a connection to
    /// themselves.
    commits: Option<Arc<Commits>>,
    pub(super) subscriber: Client,
    pub(super) changes: Changes,
    pub(super) pulse: Pulse,
    /// Cancelled when the bus is closed, and when the cluster has no such primary any more.
    pub(super) closing: CancellationToken,
    /// Where its probes come back. In a cluster the name depends on the slots that the primary has.
    own_channel: Mutex<Arc<str>>,
    /// Whether the last probe was answered. While it was not, commands are not tried: each would take its whole
    /// timeout to say the same.
    reachable: AtomicBool,
    /// Whether it has ever been reached; and when it was heard of.
    was_reachable: AtomicBool,
    since: Instant,
    /// When it was last seen to be no primary.
    demoted: Mutex<Option<Instant>>,
    /// Why there is no connection, as the last attempt said.
    trouble: Mutex<Option<String>>,
    /// How it was set up when it was last looked at.
    pub(super) setup: Mutex<Option<Setup>>,
}

impl Shard {
    pub(super) fn new(
        server: Option<Server>,
        parsed: &Config,
        config: &RedisConfig,
        closing: CancellationToken,
    ) -> Self {
        let client = |messages| config::client(parsed.clone(), config, messages);
        Self {
            server,
            commands: client(1),
            commits: match config.ack {
                Ack::Local => None,
                Ack::Replicated(replicas) => Some(Commits::new(client(1), replicas)),
            },
            subscriber: client(MESSAGES),
            changes: Changes::default(),
            pulse: Pulse::new(),
            closing,
            own_channel: Mutex::new("".into()),
            reachable: AtomicBool::new(false),
            was_reachable: AtomicBool::new(false),
            since: Instant::now(),
            demoted: Mutex::new(None),
            trouble: Mutex::new(None),
            setup: Mutex::new(None),
        }
    }

    /// Where commands go.
    pub(super) fn commands(&self) -> Path<'_> {
        Path::Plain(&self.commands)
    }

    /// Where appends go.
    pub(super) fn appends(&self) -> Path<'_> {
        self.commits.as_ref().map_or_else(|| self.commands(), Path::Committed)
    }

    /// Every connection.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Client> {
        [&self.commands, &self.subscriber]
            .into_iter()
            .chain(self.commits.as_ref().map(|commits| &commits.client))
    }

    pub(super) fn own_channel(&self) -> Arc<str> {
        Arc::clone(&self.own_channel.lock())
    }

    pub(super) fn set_own_channel(&self, channel: &str) {
        *self.own_channel.lock() = channel.into();
    }

    pub(super) fn set_reachable(&self, reachable: bool) {
        self.reachable.store(reachable, Ordering::Relaxed);
        self.was_reachable.fetch_or(reachable, Ordering::Relaxed);
    }

    /// Whether it was heard of a moment ago, and its connections are being made: who waits will be served.
    pub(super) fn is_new(&self, moment: Duration) -> bool {
        !self.was_reachable.load(Ordering::Relaxed) && self.since.elapsed() < moment
    }

    /// The server is, or is about to become, a replica, and the sentinels name another one: all connections must go
    /// there.
    ///
    /// Tried: when every room that was told READONLY had the connections opened anew, each ended what the others had
    /// under way on the new ones, and it did not end.
    pub(super) fn demoted(&self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let mut before = self.demoted.lock();
        // Every room learns of it; one word is enough, until the sentinels have had the time to agree.
        if before.is_some_and(|before| before.elapsed() < PAUSE) {
            return;
        }
        *before = Some(Instant::now());
        for client in self.clients() {
            let client = client.clone();
            tokio::spawn(async move { client.force_reconnection().await.is_ok() });
        }
    }

    pub(super) fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }

    /// Remembers why there is no connection; none when there is one again. Said once, not at every attempt.
    pub(super) fn set_trouble(&self, error: Option<String>) {
        let mut trouble = self.trouble.lock();
        if let Some(error) = &error
            && trouble.as_ref() != Some(error)
        {
            tracing::warn!(shard = %self, error, advice = tls::advice(error), "redis connection failed");
        }
        *trouble = error;
    }

    /// Why there is no connection, as the last attempt said.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Without a connection fred would queue what it is given.
    pub(super) fn connected(&self) -> Result<(), BusError> {
        if self.commands.is_connected() && self.appends().client().is_connected() {
            return Ok(());
        }
        let trouble = self.trouble.lock();
        let why = trouble.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        Err(BusError::unavailable(format!("redis is not connected{why}")))
    }

    /// Lets commands pass while there is a point.
    pub(super) fn gate(&self) -> Result<(), BusError> {
        self.connected()?;
        if !self.is_reachable() {
            return Err(BusError::unavailable("redis does not answer"));
        }
        Ok(())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.server {
            Some(server) => write!(f, "{}:{}", server.host, server.port),
            None => f.write_str("the primary"),
        }
    }
}
