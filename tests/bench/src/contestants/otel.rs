//! OpenTelemetry by hand, as its own documentation has it: the SDK's batch processor, OTLP over gRPC, W3C Trace Context in
//! headers; for each hop a `process` span and a `send` span with the attributes of the messaging conventions.

use async_nats::jetstream;
use async_nats::{HeaderMap, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::chain::Hop;
use crate::error::{Doing as _, Result};

/// What makes spans and sends them.
pub(super) struct OpenTelemetry(SdkTracerProvider);

impl OpenTelemetry {
    /// As `OTEL_*` says.
    pub(super) fn start(name: &'static str) -> Result<Self> {
        let exporter = SpanExporter::builder().with_tonic().build().doing("make the exporter")?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name(name).build())
            .build();
        Ok(Self(provider))
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.0.tracer("by-hand")
    }

    /// Sends the last spans.
    pub(super) async fn shutdown(self) -> Result<()> {
        // It blocks, and what it waits for runs on this runtime.
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown()).await.doing("flush spans")?;
        flushed.doing("flush spans")
    }
}

/// What is the same for all spans of a service.
pub(super) struct Tracing {
    tracer: SdkTracer,
    hop: Hop,
    process: String,
    send: String,
}

impl Tracing {
    pub(super) fn of(tracer: SdkTracer, hop: Hop) -> Self {
        Self { tracer, process: format!("process {}", hop.from), send: format!("send {}", hop.to), hop }
    }

    /// Begins the span of handling an event.
    pub(super) fn process(&self, message: &jetstream::Message) -> Context {
        let parent = match &message.headers {
            Some(headers) => {
                TraceContextPropagator::new().extract_with_context(&Context::new(), &Read(headers))
            }
            None => Context::new(),
        };
        let mut span = self
            .tracer
            .span_builder(self.process.clone())
            .with_kind(SpanKind::Consumer)
            .start_with_context(&self.tracer, &parent);
        if span.is_recording() {
            let sequence = message.info().map_or(0, |info| info.stream_sequence);
            span.set_attributes([
                KeyValue::new("messaging.system", "nats"),
                KeyValue::new("messaging.operation.type", "process"),
                KeyValue::new("messaging.operation.name", "process"),
                KeyValue::new("messaging.destination.name", self.hop.from),
                KeyValue::new("messaging.consumer.group.name", self.hop.service),
                KeyValue::new("messaging.client.id", self.hop.service),
                KeyValue::new("messaging.message.id", sequence.to_string()),
                KeyValue::new("messaging.message.body.size", message.payload.len() as i64),
            ]);
        }
        parent.with_span(span)
    }

    /// Begins the span of publishing the next one.
    pub(super) fn send(&self, processing: &Context, bytes: usize) -> Context {
        let mut span = self
            .tracer
            .span_builder(self.send.clone())
            .with_kind(SpanKind::Producer)
            .start_with_context(&self.tracer, processing);
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new("messaging.system", "nats"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.destination.name", self.hop.to),
                KeyValue::new("messaging.client.id", self.hop.service),
                KeyValue::new("messaging.message.body.size", bytes as i64),
                KeyValue::new("server.address", "127.0.0.1"),
                KeyValue::new("network.transport", "tcp"),
            ]);
        }
        processing.with_span(span)
    }
}

/// Writes `traceparent`.
pub(super) fn inject(sending: &Context, headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(sending, &mut Write(headers));
}

struct Write<'a>(&'a mut HeaderMap);

impl Injector for Write<'_> {
    fn set(&mut self, key: &str, value: String) {
        // The propagator sets an empty tracestate.
        if !value.is_empty() {
            self.0.insert(key, value);
        }
    }
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}
