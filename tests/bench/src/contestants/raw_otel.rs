//! [`raw`](super::raw) with OpenTelemetry by hand, as its own documentation has it: the SDK's batch processor, OTLP over
//! gRPC, W3C Trace Context in headers; for each hop a `process` span and a `send` span with the attributes of the
//! messaging conventions.

use async_nats::jetstream::{self, Context as JetStream};
use async_nats::{HeaderMap, HeaderValue};
use futures_util::StreamExt as _;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::chain::Hop;
use super::raw::{Serve, attach, complain, serve_all};
use super::{Args, Control, IN_FLIGHT};
use crate::error::{Doing as _, Error, Result};

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    // Endpoint and batch processor are set by `OTEL_*`.
    let exporter = SpanExporter::builder().with_tonic().build().doing("make the exporter")?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("raw-otel").build())
        .build();
    let start = Start { url: &args.url, tracer: provider.tracer("raw-otel") };
    serve_all(&start, control).await?;
    // It blocks, and what it waits for runs on this runtime.
    let flushed = tokio::task::spawn_blocking(move || provider.shutdown()).await.doing("flush spans")?;
    flushed.doing("flush spans")
}

struct Start<'a> {
    url: &'a str,
    tracer: SdkTracer,
}

/// What is the same for all events of a service.
struct Tracing {
    tracer: SdkTracer,
    hop: Hop,
    process: String,
    send: String,
}

impl Serve for Start<'_> {
    async fn serve<In, Out>(
        &self,
        hop: Hop,
        handle: fn(In) -> Out,
        stopped: WaitForCancellationFutureOwned,
    ) -> Result<impl Future<Output = ()> + Send + 'static>
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        let (js, messages) = attach(self.url, &hop).await?;
        let service = hop.service;
        let tracing = std::sync::Arc::new(Tracing {
            tracer: self.tracer.clone(),
            process: format!("process {}", hop.from),
            send: format!("send {}", hop.to),
            hop,
        });
        Ok(messages.take_until(stopped).for_each_concurrent(IN_FLIGHT, move |message| {
            let (js, tracing) = (js.clone(), std::sync::Arc::clone(&tracing));
            async move {
                let Ok(message) = message else { return };
                let processing = tracing.process(&message);
                if let Err(error) = react(&js, &message, &tracing, &processing, handle).await {
                    processing.span().set_status(Status::error(error.to_string()));
                    complain(service, &error);
                }
                processing.span().end();
            }
        }))
    }
}

async fn react<In: DeserializeOwned, Out: Serialize>(
    js: &JetStream,
    message: &jetstream::Message,
    tracing: &Tracing,
    processing: &Context,
    handle: fn(In) -> Out,
) -> Result<()> {
    let event = serde_json::from_slice(&message.payload).doing("read an event")?;
    let next = serde_json::to_vec(&handle(event)).doing("write an event")?;
    let sending = tracing.send(processing, next.len());
    let mut headers = HeaderMap::new();
    TraceContextPropagator::new().inject_context(&sending, &mut Write(&mut headers));
    let published = js.publish_with_headers(tracing.hop.to, headers, next.into()).await.doing("publish")?;
    let acknowledged = published.await.doing("hear that an event is stored");
    if let Err(error) = &acknowledged {
        sending.span().set_status(Status::error(error.to_string()));
    }
    sending.span().end();
    acknowledged?;
    message.ack().await.map_err(|error| Error::new(format!("cannot acknowledge: {error}")))
}

impl Tracing {
    fn process(&self, message: &jetstream::Message) -> Context {
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

    fn send(&self, processing: &Context, bytes: usize) -> Context {
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
