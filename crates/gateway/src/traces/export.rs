//! How spans leave, and what is said when they can't.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Counter, counter};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, RetryPolicy, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{
    config::{CollectorUrl, ConfigError},
    fetch::{Fetcher, Named},
};

/// Between two lines that say that spans are lost.
const APART: Duration = Duration::from_mins(1);

/// Posts to the collector.
struct Poster {
    fetcher: Arc<Fetcher>,
    /// Where it is done: spans leave by a thread that has no runtime.
    runtime: Handle,
    trouble: Arc<Mutex<Option<String>>>,
}

/// Counts what leaves, and says so when nothing does.
struct Telling<E> {
    exporter: E,
    endpoint: String,
    /// What went wrong with the last post, in our own words: those of the exporter leave it out.
    trouble: Arc<Mutex<Option<String>>>,
    failing: AtomicBool,
    told: Mutex<Option<Instant>>,
    sent: Counter,
    lost: Counter,
}

/// What takes spans to a collector. Must be called in a tokio runtime.
pub(super) fn exporter(
    endpoint: &CollectorUrl,
    ca: Option<&Path>,
) -> Result<impl SpanExporter + 'static, ConfigError> {
    let url = endpoint.traces();
    let fetcher = Arc::new(Fetcher::new(&url, ca, Named { url: "otlp.endpoint", ca: "otlp.ca" })?);
    let trouble = Arc::<Mutex<Option<String>>>::default();
    let poster = Poster { fetcher, runtime: Handle::current(), trouble: Arc::clone(&trouble) };
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(poster)
        .with_endpoint(url.to_string())
        .with_protocol(Protocol::HttpBinary)
        // The next batch waits meanwhile, and what does not fit into the queue is lost.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| ConfigError::new(format!("otlp.endpoint = \"{endpoint}\": {error}")))?;
    Ok(Telling {
        exporter,
        endpoint: url.to_string(),
        trouble,
        failing: AtomicBool::new(false),
        told: Mutex::default(),
        sent: counter!("chorus_spans_total", "outcome" => "sent"),
        lost: counter!("chorus_spans_total", "outcome" => "lost"),
    })
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster")
    }
}

impl<E> fmt::Debug for Telling<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Poster {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let fetcher = Arc::clone(&self.fetcher);
        let answer = self.runtime.spawn(async move { fetcher.send(request).await }).await;
        let answer = answer.map_err(HttpError::from).and_then(|answer| answer.map_err(HttpError::from));
        *self.trouble.lock() = answer.as_ref().err().map(ToString::to_string);
        answer
    }
}

impl<E: SpanExporter> SpanExporter for Telling<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        match self.exporter.export(batch).await {
            Ok(()) => {
                self.sent.increment(spans);
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(endpoint = self.endpoint, "spans reach the collector again");
                }
            }
            Err(error) => {
                self.lost.increment(spans);
                self.failing.store(true, Ordering::Relaxed);
                self.tell(spans, &error);
            }
        }
        // All has been said, and whoever asks would say it again for every batch.
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E> Telling<E> {
    fn tell(&self, spans: u64, error: &dyn fmt::Display) {
        let mut told = self.told.lock();
        if told.is_some_and(|told| told.elapsed() < APART) {
            return;
        }
        *told = Some(Instant::now());
        let error = self.trouble.lock().take().unwrap_or_else(|| error.to_string());
        tracing::warn!(
            endpoint = self.endpoint,
            error,
            spans,
            "spans are lost, and messages are not: the collector (otlp.endpoint) does not take them"
        );
    }
}
