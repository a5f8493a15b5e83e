//! [`raw`](super::raw) with OpenTelemetry by hand ([`otel`](super::otel)).

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context as JetStream};
use futures_util::StreamExt as _;
use opentelemetry::Context;
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SdkTracer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::chain::{HOPS, Hop};
use super::otel::{OpenTelemetry, Tracing, inject};
use super::raw::{Serve, attach, complain, serve_all};
use super::{Args, Control, IN_FLIGHT};
use crate::error::{Doing as _, Error, Result};

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    let telemetry = OpenTelemetry::start("raw-otel")?;
    serve_all(&Start { url: &args.url, tracer: telemetry.tracer() }, HOPS, control).await?;
    telemetry.shutdown().await
}

struct Start<'a> {
    url: &'a str,
    tracer: SdkTracer,
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
        let tracing = Arc::new(Tracing::of(self.tracer.clone(), hop));
        Ok(messages.take_until(stopped).for_each_concurrent(IN_FLIGHT, move |message| {
            let (js, tracing) = (js.clone(), Arc::clone(&tracing));
            async move {
                let Ok(message) = message else { return };
                let processing = tracing.process(&message);
                if let Err(error) = react(&js, &message, hop, &tracing, &processing, handle).await {
                    processing.span().set_status(Status::error(error.to_string()));
                    complain(hop.service, &error);
                }
                processing.span().end();
            }
        }))
    }
}

async fn react<In: DeserializeOwned, Out: Serialize>(
    js: &JetStream,
    message: &jetstream::Message,
    hop: Hop,
    tracing: &Tracing,
    processing: &Context,
    handle: fn(In) -> Out,
) -> Result<()> {
    let event = serde_json::from_slice(&message.payload).doing("read an event")?;
    let next = serde_json::to_vec(&handle(event)).doing("write an event")?;
    let sending = tracing.send(processing, next.len());
    let mut headers = HeaderMap::new();
    inject(&sending, &mut headers);
    let published = js.publish_with_headers(hop.to, headers, next.into()).await.doing("publish")?;
    let acknowledged = published.await.doing("hear that an event is stored");
    if let Err(error) = &acknowledged {
        sending.span().set_status(Status::error(error.to_string()));
    }
    sending.span().end();
    acknowledged?;
    message.ack().await.map_err(|error| Error::new(format!("cannot acknowledge: {error}")))
}
