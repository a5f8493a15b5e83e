//! One half of a hop at a time: publishing only, consuming only.

use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban::Service;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::chain::{HOPS, ROOT};
use super::events::{Order, OrderPlaced};
use super::{Args, Control, IN_FLIGHT, raw};
use crate::error::{Doing as _, Error, Result};

/// Publishes whose acknowledgement is awaited.
const OUTSTANDING: usize = 256;

fn order(number: u64) -> OrderPlaced {
    OrderPlaced { order: Order::sample(format!("f-{number:016x}")) }
}

/// Plain publishes to JetStream.
pub(super) async fn publish_raw(args: &Args, control: &mut Control) -> Result<()> {
    let js = raw::connect(&args.url, "order").await?;
    control.ready_until_go().await?;
    let began = Instant::now();
    stream::iter(0..args.count)
        .map(|number| {
            let js = &js;
            async move {
                let body = serde_json::to_vec(&order(number)).doing("write an event")?;
                let published = js.publish(ROOT, body.into()).await.doing("publish")?;
                published.await.map(drop).doing("hear that an event is stored")
            }
        })
        .buffer_unordered(OUTSTANDING)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await?;
    control.done(&json!({"seconds": began.elapsed().as_secs_f64()}))?;
    control.until_stop().await
}

/// Flows begun by Laban's emitter.
pub(super) async fn publish_laban(args: &Args, control: &mut Control) -> Result<()> {
    let service = Service::new("order").emits::<OrderPlaced>().setting("NATS_URL", &args.url);
    let running = service.start().await.doing("start the service")?;
    let emitter = running.emitter();
    control.ready_until_go().await?;
    let began = Instant::now();
    stream::iter(0..args.count)
        .map(|number| {
            let emitter = &emitter;
            async move { emitter.begin(&order(number)).await.map(drop).doing("begin a flow") }
        })
        .buffer_unordered(OUTSTANDING)
        .try_for_each(|()| std::future::ready(Ok(())))
        .await?;
    control.done(&json!({"seconds": began.elapsed().as_secs_f64()}))?;
    control.until_stop().await?;
    running.stop();
    running.wait().await.doing("drain the service")
}

/// Pulls, reads, acknowledges.
pub(super) async fn consume_raw(args: &Args, control: &mut Control) -> Result<()> {
    let [payment, ..] = HOPS;
    let (_js, messages) = raw::attach(&args.url, &payment).await?;
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let consuming =
        tokio::spawn(messages.take_until(stopped).for_each_concurrent(IN_FLIGHT, |message| async {
            let Ok(message) = message else { return };
            let read = serde_json::from_slice::<OrderPlaced>(&message.payload).doing("read an event");
            let settled = match read {
                Ok(event) => {
                    std::hint::black_box(event);
                    message.ack().await.map_err(|error| Error::new(format!("cannot acknowledge: {error}")))
                }
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                raw::complain("payment", &error);
            }
        }));
    control.ready_until_stop().await?;
    stop.cancel();
    consuming.await.doing("drain")
}

/// A handler that emits nothing: a record says that it has handled the event.
pub(super) async fn consume_laban(args: &Args, control: &mut Control) -> Result<()> {
    async fn take(event: OrderPlaced) {
        std::hint::black_box(event);
    }
    let service = Service::new("payment").on(take).setting("NATS_URL", &args.url);
    let running = service.start().await.doing("start the service")?;
    control.ready_until_stop().await?;
    running.stop();
    running.wait().await.doing("drain the service")
}
