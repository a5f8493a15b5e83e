//! async-nats by hand, with no tracing and no fence: what a good engineer would write, and the measure of all others.

use async_nats::jetstream::consumer::pull::{Config, Stream};
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use super::chain::{HOPS, Hop, STREAM, extra_headers};
use super::events::{InvoiceIssued, OrderPlaced, ParcelDispatched, PaymentCaptured, StockReserved};
use super::{Args, Control, IN_FLIGHT};
use crate::error::{Doing as _, Error, Result};

pub(super) async fn run(args: &Args, control: &mut Control) -> Result<()> {
    serve_all(&Start { args }, HOPS, control).await
}

/// A way to do the chain by hand.
pub(super) trait Serve {
    /// Connects, makes the consumer, and returns what handles events until stopped.
    async fn serve<In, Out>(
        &self,
        hop: Hop,
        handle: fn(In) -> Out,
        stopped: WaitForCancellationFutureOwned,
    ) -> Result<impl Future<Output = ()> + Send + 'static>
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static;
}

/// Serves the whole chain until asked to stop, and to the end of what is in hand then.
pub(super) async fn serve_all(start: &impl Serve, hops: [Hop; 4], control: &mut Control) -> Result<()> {
    let (stop, services) = (CancellationToken::new(), TaskTracker::new());
    let stopped = || stop.clone().cancelled_owned();
    let [payment, inventory, shipping, invoice] = hops;
    let captured = |e: OrderPlaced| PaymentCaptured { order: e.order };
    services.spawn(start.serve(payment, captured, stopped()).await?);
    let reserved = |e: PaymentCaptured| StockReserved { order: e.order };
    services.spawn(start.serve(inventory, reserved, stopped()).await?);
    let dispatched = |e: StockReserved| ParcelDispatched { order: e.order };
    services.spawn(start.serve(shipping, dispatched, stopped()).await?);
    let issued = |e: ParcelDispatched| InvoiceIssued { order: e.order };
    services.spawn(start.serve(invoice, issued, stopped()).await?);
    services.close();
    control.ready_until_stop().await?;
    stop.cancel();
    services.wait().await;
    Ok(())
}

struct Start<'a> {
    args: &'a Args,
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
        let (js, messages) = attach(&self.args.url, &hop).await?;
        let headers = self.args.headers;
        // One task for all events of a service: as fast as a task for each of them, for a tenth less CPU.
        Ok(messages.take_until(stopped).for_each_concurrent(IN_FLIGHT, move |message| {
            let js = js.clone();
            async move {
                let Ok(message) = message else { return };
                if let Err(error) = react(&js, &message, hop.to, headers, handle).await {
                    complain(hop.service, &error);
                }
            }
        }))
    }
}

/// Connects as a service, and begins to pull.
pub(super) async fn attach(url: &str, hop: &Hop) -> Result<(Context, Stream)> {
    let js = connect(url, hop.service).await?;
    let config = Config {
        durable_name: Some(hop.service.to_owned()),
        filter_subject: hop.from.to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..Config::default()
    };
    let consumer: Consumer<Config> = js
        .create_consumer_on_stream(config, STREAM)
        .await
        .doing(format_args!("make the consumer of {}", hop.service))?;
    let messages = consumer
        .stream()
        // Asked for again when half of it is here: the next events are at hand when the first ones are done. Tried from 128 to
        // 512, with no difference to speak of.
        .max_messages_per_batch(4 * IN_FLIGHT)
        .messages()
        .await
        .doing(format_args!("pull as {}", hop.service))?;
    Ok((js, messages))
}

/// Each service has a connection of its own, as it would in a process of its own. One for all of them is no faster.
pub(super) async fn connect(url: &str, service: &str) -> Result<Context> {
    let urls: Vec<&str> = url.split(',').collect();
    let options = async_nats::ConnectOptions::new().name(service);
    options.connect(urls).await.map(jetstream::new).doing("connect to the broker")
}

async fn react<In: DeserializeOwned, Out: Serialize>(
    js: &Context,
    message: &jetstream::Message,
    to: &'static str,
    headers: usize,
    handle: fn(In) -> Out,
) -> Result<()> {
    let event = serde_json::from_slice(&message.payload).doing("read an event")?;
    let next = serde_json::to_vec(&handle(event)).doing("write an event")?;
    let published = if headers == 0 {
        js.publish(to, next.into()).await
    } else {
        // What a header costs its reader is the finding of it.
        let found = message.headers.as_ref().map(|headers| headers.get("traceparent").is_some());
        std::hint::black_box(found);
        js.send_publish(to, PublishMessage::build().headers(extra_headers(headers)).payload(next.into()))
            .await
    };
    let acknowledged = published.doing("publish")?;
    acknowledged.await.doing("hear that an event is stored")?;
    message.ack().await.map_err(|error| Error::new(format!("cannot acknowledge: {error}")))
}

/// What went wrong is delivered again.
pub(super) fn complain(service: &str, error: &Error) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{service}: {error}");
}
