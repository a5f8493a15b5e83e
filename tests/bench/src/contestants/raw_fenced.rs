//! [`raw`](super::raw) on Laban's terms: a stream for each service, a subject for each flow, the same four headers, each
//! outcome appended only if its service has said nothing of the flow yet. No retries, no dead letters, no memory of what
//! was done: the least that once and a passed-on trace can cost through this client library and this broker; and with spans
//! by hand, if wanted, the least that an author would have to write to get there.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context as JetStream};
use futures_util::StreamExt as _;
use laban_wire::EventId;
use opentelemetry::Context;
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SdkTracer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::chain::{FENCED_HOPS, Hop, traceparent};
use super::otel::{OpenTelemetry, Tracing, inject};
use super::raw::{Serve, complain, connect, serve_all};
use super::{Args, Control, IN_FLIGHT};
use crate::driver::home;
use crate::error::{Doing as _, Error, Result};

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    serve_homes(args, None, control).await
}

/// The same with OpenTelemetry by hand.
pub(super) async fn run_traced(args: &Args, control: &mut Control) -> Result<()> {
    let telemetry = OpenTelemetry::start("raw-fenced-otel")?;
    serve_homes(args, Some(telemetry.tracer()), control).await?;
    telemetry.shutdown().await
}

async fn serve_homes(args: &Args, tracer: Option<SdkTracer>, control: &mut Control) -> Result<()> {
    let js = connect(&args.url, "home streams").await?;
    for hop in FENCED_HOPS {
        js.get_or_create_stream(home(hop.service)).await.doing("make the home streams")?;
    }
    serve_all(&Start { url: &args.url, tracer }, FENCED_HOPS, control).await
}

struct Start<'a> {
    url: &'a str,
    tracer: Option<SdkTracer>,
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
        let js = connect(self.url, hop.service).await?;
        let producer = hop.from.split('.').next().unwrap_or_default();
        let config = Config {
            // Named as Laban does.
            durable_name: Some(format!("{}_{}_{}", hop.service, hop.handler, hop.from.replace('.', "_"))),
            filter_subject: format!("{}.*", hop.from),
            ack_policy: AckPolicy::Explicit,
            ..Config::default()
        };
        let consumer = js
            .create_consumer_on_stream(config, producer.to_uppercase())
            .await
            .doing(format_args!("make the consumer of {}", hop.service))?;
        let pulling = consumer.stream().max_messages_per_batch(4 * IN_FLIGHT).messages().await;
        let messages = pulling.doing(format_args!("pull as {}", hop.service))?;
        let tracing = self.tracer.clone().map(|tracer| Arc::new(Tracing::of(tracer, hop)));
        Ok(messages.take_until(stopped).for_each_concurrent(IN_FLIGHT, move |message| {
            let (js, tracing) = (js.clone(), tracing.clone());
            async move {
                let Ok(message) = message else { return };
                let spans = tracing.as_deref().map(|tracing| (tracing, tracing.process(&message)));
                let reacted = react(&js, &message, hop, spans.as_ref(), handle).await;
                if let Some((_, processing)) = &spans {
                    end(processing, reacted.as_ref().err());
                }
                if let Err(error) = reacted {
                    complain(hop.service, &error);
                }
            }
        }))
    }
}

async fn react<In: DeserializeOwned, Out: Serialize>(
    js: &JetStream,
    message: &jetstream::Message,
    hop: Hop,
    spans: Option<&(&Tracing, Context)>,
    handle: fn(In) -> Out,
) -> Result<()> {
    let Some((_, flow)) = message.subject.rsplit_once('.') else {
        return Err(Error::new("an event without a flow"));
    };
    let cause = message.headers.as_ref().and_then(|headers| headers.get("Laban")?.as_str().get(3..39));
    let cause = cause.ok_or_else(|| Error::new("an event without an id"))?;
    let event = serde_json::from_slice(&message.payload).doing("read an event")?;
    let next = serde_json::to_vec(&handle(event)).doing("write an event")?;
    let sending = spans.map(|(tracing, processing)| tracing.send(processing, next.len()));
    let mut headers = headers(hop, cause, flow);
    match &sending {
        Some(sending) => inject(sending, &mut headers),
        None => headers.insert("traceparent", traceparent()),
    }
    let message_out = PublishMessage::build().headers(headers).payload(next.into());
    let published = js.send_publish(format!("{}.{flow}", hop.to), message_out).await.doing("publish")?;
    let stored = match published.await {
        Ok(_) => Ok(()),
        // It was delivered before, and took effect then.
        Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(()),
        Err(error) => Err(error).doing("hear that an event is stored"),
    };
    if let Some(sending) = &sending {
        end(sending, stored.as_ref().err());
    }
    stored?;
    message.ack().await.map_err(|error| Error::new(format!("cannot acknowledge: {error}")))
}

fn end(context: &Context, error: Option<&Error>) {
    if let Some(error) = error {
        context.span().set_status(Status::error(error.to_string()));
    }
    context.span().end();
}

/// What Laban writes to an event, of the same length, but for the trace.
fn headers(hop: Hop, cause: &str, flow: &str) -> HeaderMap {
    let Hop { service, handler, from, .. } = hop;
    let id = EventId::root();
    let mut headers = HeaderMap::new();
    headers.insert(
        "Laban",
        format!("id={id} v=1 cause={cause} on={from} handler={handler} queue_ms=0.412 handle_ms=0.108"),
    );
    headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
    headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", format!("{service}.*.{flow}"));
    headers
}
