//! Traces of messages, for a collector that speaks OTLP.
//!
//! A message that is traced leaves a span for each step of its way:
//!
//! ```text
//! message          on its sender's node, from the frame (or the call) to the answer
//! └─ append        from there to the log's answer
//!    ├─ relay      on every node that follows the room: the event's way from the bus into the room's tail
//!    │  └─ write   the flush that took it to the room's members there
//!    └─ relay …
//! ```
//!
//! Whether it is traced is decided once, where the message comes in, and the event carries the word of it from node to node
//! ([`bus::TraceContext`]). Spans leave by a thread of their own, from a queue that loses what it can't hold: a collector
//! that is slow or away costs spans, and no message. Without a collector all of this is one look at an `Option`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bus::{Appended, BusError, NodeId, TraceContext};
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
        Tracer, TracerProvider,
    },
};
use opentelemetry_sdk::{
    Resource,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanLimits,
    },
};
use proto::{Position, RoomName};

use crate::{
    config::{ConfigError, OtlpConfig},
    refusal::Refusal,
    share::Share,
};

mod export;

/// How long a span waits for others to leave with.
const GATHER: Duration = Duration::from_secs(1);

/// Spans that may wait. One takes some 600 bytes.
const QUEUE: usize = 8192;

/// How long the end of the node waits for the last spans to leave.
const CLOSING: Duration = Duration::from_millis(500);

/// Where spans begin.
pub struct Traces {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    share: Share,
}

/// The spans of one message on its sender's node. Whatever is open when this is dropped ends then.
pub struct Posting {
    traces: Arc<Traces>,
    message: Span,
    append: Option<Span>,
}

/// What a flush did.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    /// Frames that went out together.
    pub frames: u64,
    /// The room's members on this node.
    pub members: usize,
    /// Whether all of them had taken it by then.
    pub level: bool,
}

impl Traces {
    /// None without a collector. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// When the collector's URL or CA can't be right.
    pub fn new(config: &OtlpConfig, node: &NodeId) -> Result<Option<Arc<Self>>, ConfigError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let exporter = export::exporter(endpoint, config.ca.as_deref())?;
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_scheduled_delay(GATHER).build();
        let resource = Resource::builder()
            .with_service_name("chorus")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", node.to_string()))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            // What is not to be kept never gets here.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_limits(SpanLimits::default())
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        let (tracer, share) = (provider.tracer("chorus"), Share::default());
        Ok(Some(Arc::new(Self { tracer, provider, share })))
    }

    /// Begins the trace of a message, or of an event of another kind, if it is to be traced: as whoever sent it says by
    /// `parent`, or else a `share` of all.
    pub fn begin(
        self: &Arc<Self>,
        kind: &'static str,
        room: &RoomName,
        parent: Option<(TraceContext, bool)>,
        share: f64,
    ) -> Option<Box<Posting>> {
        if !parent.map_or_else(|| self.share.picks(share), |(_, kept)| kept) {
            return None;
        }
        let parent = parent.map(|(parent, _)| within(&parent)).unwrap_or_default();
        let message =
            SpanBuilder::from_name(kind).with_kind(SpanKind::Server).with_attributes([of_room(room)]);
        let message = self.tracer.build_with_context(message, &parent);
        Some(Box::new(Posting { traces: Arc::clone(self), message, append: None }))
    }

    /// An event came that is traced, at `began`, and is in its room's tail now. Gives what goes on from there.
    pub fn relayed(
        &self,
        parent: &TraceContext,
        room: &RoomName,
        position: &Position,
        began: SystemTime,
    ) -> Option<Box<TraceContext>> {
        let relay = SpanBuilder::from_name("relay")
            .with_kind(SpanKind::Consumer)
            .with_start_time(began)
            .with_attributes([of_room(room), of_epoch(position), of_seq(position)]);
        let mut relay = self.tracer.build_with_context(relay, &within(parent));
        relay.end();
        context_of(&relay)
    }

    /// Events that were relayed are written to the members now, which began at `began`.
    pub fn written(&self, relays: &[TraceContext], room: &RoomName, began: SystemTime, flushed: Flushed) {
        for relay in relays {
            let write = SpanBuilder::from_name("write").with_start_time(began).with_attributes([
                of_room(room),
                KeyValue::new("chorus.frames", count(flushed.frames)),
                KeyValue::new("chorus.members", count(flushed.members as u64)),
                KeyValue::new("chorus.level", flushed.level),
            ]);
            self.tracer.build_with_context(write, &within(relay)).end();
        }
    }

    /// Has the last spans leave.
    pub async fn close(&self) {
        let provider = self.provider.clone();
        // What it could not do in that time is lost, which the export tells of.
        let _ = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(CLOSING).is_ok()).await;
    }
}

impl Posting {
    /// Its append begins. Gives what goes with the event.
    pub fn append(&mut self, room: &RoomName) -> Option<Box<TraceContext>> {
        let inside = Context::new().with_remote_span_context(self.message.span_context().clone());
        let append =
            SpanBuilder::from_name("append").with_kind(SpanKind::Producer).with_attributes([of_room(room)]);
        let append = self.append.insert(self.traces.tracer.build_with_context(append, &inside));
        context_of(append)
    }

    /// It was refused before that.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.message.set_status(Status::error(refusal.code.as_str()));
    }

    /// The append was answered.
    pub fn appended(&mut self, outcome: &Result<Appended, BusError>) {
        let Some(mut append) = self.append.take() else { return };
        for span in [&mut append, &mut self.message] {
            match outcome {
                Ok(Appended { position, duplicate }) => {
                    span.set_attributes([of_epoch(position), of_seq(position)]);
                    span.set_attribute(KeyValue::new("chorus.duplicate", *duplicate));
                }
                Err(error) => span.set_status(Status::error(error.to_string())),
            }
        }
    }
}

/// The context of whoever goes on from a span of another's.
fn within(parent: &TraceContext) -> Context {
    let span = SpanContext::new(
        parent.trace_id().into(),
        parent.span_id().into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(span)
}

fn context_of(span: &Span) -> Option<Box<TraceContext>> {
    let context = span.span_context();
    let trace_id = u128::from_be_bytes(context.trace_id().to_bytes());
    TraceContext::new(trace_id, u64::from_be_bytes(context.span_id().to_bytes())).map(Box::new)
}

fn of_room(room: &RoomName) -> KeyValue {
    KeyValue::new("chorus.room", room.to_string())
}

fn of_epoch(position: &Position) -> KeyValue {
    KeyValue::new("chorus.epoch", position.epoch.as_str().to_owned())
}

fn of_seq(position: &Position) -> KeyValue {
    KeyValue::new("chorus.seq", count(position.seq))
}

/// OTLP has signed numbers only.
fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
