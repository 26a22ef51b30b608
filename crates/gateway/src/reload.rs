//! A configuration that is read anew while the node runs: by SIGHUP, or by `POST /v1/reload`.
//!
//! All of it holds or none: what could be wrong is tried first, and what is swapped then can't fail. What a new value
//! changes, and when, stands with its setting in `config.rs`.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{
    app::App,
    config::{Change, Config, ConfigError, Sources},
};

/// Puts another filter in the place of the one by which log lines are written, or says why it can't.
pub type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

/// Reads the configuration anew.
pub struct Reloader {
    app: Arc<App>,
    sources: Sources,
    set_filter: SetFilter,
    /// One at a time, or an older file could come after a newer one.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    /// One that reads where the running configuration was read.
    pub fn new(app: Arc<App>, sources: Sources, set_filter: SetFilter) -> Arc<Self> {
        Arc::new(Self { app, sources, set_filter, turn: tokio::sync::Mutex::default() })
    }

    /// Takes over what the sources say now. Either way there is a line in the log, with `by`, who wanted it.
    ///
    /// # Errors
    /// When they say something wrong, or keys or a certificate can't be had. Everything is as before then.
    pub async fn reload(&self, by: &str) -> Result<Change, ConfigError> {
        let _turn = self.turn.lock().await;
        let outcome = self.take_over(by).await;
        if let Err(error) = &outcome {
            tracing::warn!(target: "audit", by, %error, "configuration not read anew: everything is as before");
        }
        outcome
    }

    async fn take_over(&self, by: &str) -> Result<Change, ConfigError> {
        let (app, running) = (&self.app, self.app.config.held());
        let (config, mut change) = Config::load(&self.sources)?.succeed(&running)?;
        let keys = app.auth.prepare(&config, &running).await?;
        let pair = app.tls.as_ref().map_or(Ok(None), |tls| tls.prepare())?;
        let (filter, retentions) = (config.log.clone(), config.retentions());

        if pair.is_some() {
            // Under the path of before.
            change.changed.push("tls.certificate".to_owned());
        }
        let Change { changed, needs_restart } = &change;
        tracing::info!(target: "audit", by, ?changed, ?needs_restart, "configuration read anew");
        if !needs_restart.is_empty() {
            tracing::warn!(?needs_restart, "these settings are as before until the node is restarted");
        }
        app.auth.adopt(keys);
        if let (Some(tls), Some(pair)) = (&app.tls, pair) {
            tls.adopt(pair);
        }
        app.bus.set_retentions(retentions);
        if let Some(key) = config.weak_secret() {
            tracing::warn!(
                key,
                "this secret is short enough to be guessed: good for a try on this machine only"
            );
        }
        let counted_anew = config.limits.sessions_per_user != running.limits.sessions_per_user;
        app.metrics.limits(&config);
        app.config.replace(config);
        if counted_anew {
            // The bus was not told of anybody's sessions while any number was allowed.
            app.moderation.doubt_all();
        }
        if filter != running.log {
            match (self.set_filter)(EnvFilter::new(&filter)) {
                Ok(()) => tracing::info!(log = filter, "log lines are written by another filter"),
                Err(error) => tracing::warn!(error, "log lines are written by the filter of before"),
            }
        }
        Ok(change)
    }

    /// Does so whenever SIGHUP comes, for as long as the node runs.
    ///
    /// Whoever tries the program in a terminal, without a file, expects it to end with the terminal, and has nothing that
    /// could be read anew: for them the signal keeps its usual meaning.
    pub async fn on_signal(self: Arc<Self>) {
        if self.app.config.now().development() && self.sources.place().is_none() {
            return;
        }
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                return tracing::error!(%error, "SIGHUP can't be listened for: use POST /v1/reload");
            }
        };
        while hangup.recv().await.is_some() {
            // What went wrong is in the log.
            let _ = self.reload("SIGHUP").await;
        }
    }
}
