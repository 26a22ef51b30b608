//! A node: what its parts share, and its life from the first bind to the end of the drain.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Extension, Router, routing::get};
use bus::{Bus, BusError, MemoryBus, RedisBus, RedisConfig, RedisTls};
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use proto::Close;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::Authenticator,
    clock::unix_ms,
    config::{self, Config, ConfigError, InForce, Sources},
    connection::{Connection, End},
    connections::Connections,
    descriptors, dev, drain,
    http::{self, HttpState},
    limits::{Admission, Calls, Lobby},
    metrics::{self, Metrics},
    moderation::Moderation,
    nodes::{self, NodeStatus},
    presence,
    reload::{Reloader, SetFilter},
    room::Shared,
    rooms::Rooms,
    serve::{self, Terms},
    session::Ends,
    site, socket,
    tls::Tls,
    traces::Traces,
};

/// What all sessions of a node share.
pub struct App {
    /// The configuration in force.
    pub config: Arc<InForce>,
    /// Checks tokens.
    pub auth: Arc<Authenticator>,
    /// TLS on the main listener, where it is configured.
    pub tls: Option<Arc<Tls>>,
    /// The log and its fan-out.
    pub bus: Arc<dyn Bus>,
    /// The rooms that somebody here is in.
    pub rooms: Arc<Rooms>,
    /// The connections.
    pub connections: Connections,
    /// Who is kept out, and who was let in.
    pub moderation: Arc<Moderation>,
    /// How many may come, and how fast.
    pub admission: Admission,
    /// How fast the HTTP API may be called.
    pub calls: Calls,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Sessions and the answers that they wait for: the drain waits for them.
    pub tasks: TaskTracker,
    /// Appends under way.
    pub appends: TaskTracker,
    /// Cancelled when the drain is over: no session waits for its client any more.
    pub cut: CancellationToken,
    /// What is said in the log of connections that end.
    pub ends: Ends,
    /// Where messages are traced, if they are.
    pub traces: Option<Arc<Traces>>,
    /// What it said of itself last; none before the first time.
    pub status: Mutex<Option<NodeStatus>>,
    /// Since when the node drains, in milliseconds since 1970.
    draining: Arc<OnceLock<u64>>,
    unique: AtomicU64,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration can't work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bus can't work as it is configured.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// An address can't be listened on.
    #[error("can't listen on {address}: {cause} (is another process there? see the key {key})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The configuration key that it comes from.
        key: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The metrics recorder can't be installed.
    #[error("metrics can't be recorded: {0}")]
    Metrics(String),
}

/// Runs a node until SIGTERM or SIGINT, and through its drain. `sources` are where the configuration came from, and where it
/// is read anew.
pub async fn run(config: Config, sources: Sources, set_filter: SetFilter) -> Result<(), StartError> {
    let (metrics, rendering) = metrics::install().map_err(|error| StartError::Metrics(error.to_string()))?;
    metrics.limits(&config);
    let app = App::new(config, metrics).await?;
    let config = app.config.held();
    if let Some(key) = config.weak_secret() {
        tracing::warn!(key, "this secret is short enough to be guessed: good for a try on this machine only");
    }
    if let Some(url) = config.auth.jwks_url.as_ref().filter(|url| url.is_open()) {
        tracing::warn!(%url, "who is on the way to this server can put keys of his own into what it sends: use https");
    }
    if let Some(key) = config.company() {
        tracing::warn!(
            key,
            instead = "set redis_url (CHORUS_REDIS_URL) on every node, if there is more than one",
            "rooms are in this node's memory: who is on another node does not hear them, and a restart forgets them"
        );
    }
    descriptors::raise(config.limits.connections);
    // Before anybody can see that it is there, and tell it to go.
    let signal = drain::signal();
    let listener = serve::listen(config.listen, &config.limits).map_err(|cause| StartError::Listen {
        address: config.listen,
        key: "listen",
        cause,
    })?;
    let metrics_listener = config
        .metrics_listen
        .map(|address| {
            serve::listen(address, &config.limits).map_err(|cause| StartError::Listen {
                address,
                key: "metrics_listen",
                cause,
            })
        })
        .transpose()?;

    let ordered = nodes::ordered(&app);
    let state = app.http_state(rendering.clone());
    let stop = CancellationToken::new();
    tokio::spawn(metrics::upkeep(rendering.clone()));
    tokio::spawn(Arc::clone(&app.rooms).trim_forever());
    tokio::spawn(presence::run(Arc::clone(&app.rooms)));
    tokio::spawn(Arc::clone(&app.moderation).watch());
    tokio::spawn(refresh_keys(Arc::clone(&app)));
    app.tls.iter().for_each(|tls| drop(tokio::spawn(Arc::clone(tls).watch())));
    let reloader = Reloader::new(Arc::clone(&app), sources, set_filter);
    tokio::spawn(Arc::clone(&reloader).on_signal());
    tokio::spawn(nodes::describe(Arc::clone(&app), rendering.clone()));
    let terms = Terms {
        lobby: Lobby::new(Arc::clone(&app.config)),
        config: Arc::clone(&app.config),
        metrics: Arc::clone(&app.metrics),
        tls: app.tls.clone(),
    };
    if let Some(listener) = metrics_listener {
        tracing::info!(addr = %listener.local_addr().unwrap_or(config.listen), "serving metrics");
        let router = http::metrics_router(state.clone());
        // A flood of clients must not blind whoever watches.
        let terms = Terms { lobby: Lobby::new(Arc::clone(&app.config)), tls: None, ..terms.clone() };
        tokio::spawn(serve::serve(listener, router, terms, CancellationToken::new()));
    }
    let address = listener.local_addr().unwrap_or(config.listen);
    tokio::spawn(serve::serve(listener, app.router(state).layer(Extension(reloader)), terms, stop.clone()));
    tracing::info!(addr = %address, node = %app.bus.node(), tls = app.tls.is_some(), "listening");
    if config.development() && config.pages {
        // For the person who typed the command; a closed standard output is no reason to stop.
        let scheme = if app.tls.is_some() { "https" } else { "http" };
        let _ = writeln!(io::stdout(), "chorus: open {scheme}://{address}/");
    }

    tokio::select! {
        () = signal => {}
        () = ordered => {}
    }
    drain::drain(&app, &stop).await;
    if let Some(traces) = &app.traces {
        traces.close().await;
    }
    Ok(())
}

impl App {
    /// Puts a node together. It listens nowhere yet.
    pub async fn new(config: Config, metrics: Arc<Metrics>) -> Result<Arc<Self>, StartError> {
        let auth = Arc::new(Authenticator::new(&config)?);
        let tls = Tls::new(&config.tls, Arc::clone(&metrics))?;
        let bus = connect(&config).await?;
        let traces = Traces::new(&config.otlp, bus.node())?;
        let (config, draining) = (Arc::new(InForce::from(config)), Arc::<OnceLock<u64>>::default());
        let shared = Shared::new(Arc::clone(&config), Arc::clone(&draining), Arc::clone(&metrics));
        let shared = Shared { traces: traces.clone(), ..shared };
        let rooms = Rooms::new(Arc::clone(&bus), Arc::new(shared));
        Ok(Arc::new(Self {
            moderation: Moderation::new(&rooms),
            rooms,
            connections: Connections::new(Arc::clone(&metrics)),
            admission: Admission::default(),
            calls: Calls::default(),
            config,
            auth,
            tls,
            bus,
            metrics,
            tasks: TaskTracker::new(),
            appends: TaskTracker::new(),
            cut: CancellationToken::new(),
            ends: Ends::default(),
            traces,
            status: Mutex::default(),
            draining,
            unique: AtomicU64::new(0),
        }))
    }

    /// Everything on the main listener.
    pub fn router(self: &Arc<Self>, state: HttpState) -> Router {
        let mut sockets = Router::new().route("/ws", get(socket::chat));
        if self.config.now().diagnostics.echo {
            sockets = sockets.route("/echo", get(socket::echo));
        }
        sockets
            .with_state(Arc::clone(self))
            .merge(http::api(self))
            .merge(http::router(state.clone()))
            .merge(site::router(&state))
            .merge(dev::router(state))
    }

    fn http_state(&self, metrics: PrometheusHandle) -> HttpState {
        HttpState {
            config: Arc::clone(&self.config),
            auth: Arc::clone(&self.auth),
            bus: Arc::clone(&self.bus),
            draining: Arc::clone(&self.draining),
            metrics,
        }
    }

    /// Whether the node is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.get().is_some()
    }

    /// Ends a connection that was just opened, if the node drains: that began while it was being prepared, and may have gone
    /// through the connections already.
    pub fn end_if_draining(&self, connection: &Connection) {
        if self.is_draining() {
            connection.end(End::Close(Close::Restart, Some(drain::retry_after(1))));
        }
    }

    /// Since when, in milliseconds since 1970.
    pub fn draining_since_ms(&self) -> Option<u64> {
        self.draining.get().copied()
    }

    /// Begins to say so, to `/readyz` and to whoever connects.
    pub fn begin_drain(&self) {
        self.metrics.draining(*self.draining.get_or_init(unix_ms));
    }

    /// Whether nobody would hear of what is appended from now on: the listeners are told to go, and without a Redis the
    /// rooms go with the node.
    pub fn ends_with_its_rooms(&self) -> bool {
        self.is_draining() && self.config.now().redis_url.is_none()
    }

    /// A number that never repeats on this node.
    pub fn next_unique(&self) -> u64 {
        self.unique.fetch_add(1, Ordering::Relaxed)
    }

    /// A session's name, the only one of its kind in the cluster.
    pub fn session_name(&self, id: u64) -> String {
        format!("{}/{id}", self.bus.node())
    }
}

/// Keeps the keys of tokens fresh, and says so where somebody looks.
async fn refresh_keys(app: Arc<App>) {
    app.auth
        .refresh_keys(|fetched| {
            app.metrics.jwks_refreshed(fetched.is_ok());
            if let Err(error) = fetched {
                let kept = app.auth.has_keys();
                tracing::warn!(%error, kept, "the keys of tokens (auth.jwks_url) could not be fetched");
            }
        })
        .await;
}

async fn connect(config: &Config) -> Result<Arc<dyn Bus>, BusError> {
    let retentions = config.retentions();
    Ok(match &config.redis_url {
        Some(url) => {
            let ack = match config.history.ack {
                config::Ack::Local => bus::Ack::Local,
                config::Ack::Replicated => bus::Ack::Replicated(config.history.ack_replicas),
            };
            let own = &config.redis;
            let tls =
                RedisTls { ca: own.tls_ca.clone(), identity: own.tls_cert.clone().zip(own.tls_key.clone()) };
            let redis = RedisConfig { ack, tls, ..RedisConfig::new(url.expose(), &config.node, retentions) };
            Arc::new(RedisBus::connect(redis).await?)
        }
        None => Arc::new(MemoryBus::new(&config.node, retentions)),
    })
}
