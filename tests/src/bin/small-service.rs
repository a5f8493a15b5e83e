//! The small service, with failpoints in it: `small-service <way>` reacts in that way, `small-service begin|emit <flow>`
//! begins the flow, or emits into it. What goes wrong, `LABAN_FAULTS` says.

use laban::{Error, Running, Service};
use laban_tests::Outcome;
use laban_tests::small::{self, OrderPlaced};

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let usage = || format!("usage: small-service {}; small-service begin|emit <flow>", small::WAYS.join("|"));
    match arguments[..] {
        ["begin", flow] => until_done(flow, begin).await?,
        ["emit", flow] => until_done(flow, emit).await?,
        [way] => small::service(way).ok_or_else(usage)?.own_arguments().run().await?,
        _ => return Err(usage().into()),
    }
    Ok(())
}

/// Says when it is done, and stays: a request that is late may be on its way.
async fn until_done(flow: &str, what: impl AsyncFn(&Running, &OrderPlaced) -> laban::Result<()>) -> Outcome {
    let running = Service::new("order").emits::<OrderPlaced>().start().await?;
    what(&running, &OrderPlaced { order_id: flow.to_owned() }).await?;
    tracing::info!("done");
    Ok(running.wait().await?)
}

/// As a caller does that is told to try again.
async fn begin(running: &Running, order: &OrderPlaced) -> laban::Result<()> {
    loop {
        match running.emitter().begin(order).await {
            Err(Error::NotTaken { transient: true, .. }) => {}
            begun => return begun.map(drop),
        }
    }
}

/// Once: whoever emits again emits another event.
async fn emit(running: &Running, order: &OrderPlaced) -> laban::Result<()> {
    running.emitter().emit(order).await.map(drop)
}
