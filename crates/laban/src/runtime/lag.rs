//! How many events wait for a handler.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::telemetry::HandlerMetrics;

/// Asked of the broker now and then, off the hot path.
const EVERY: Duration = Duration::from_secs(5);

pub(crate) async fn watch(
    link: Link,
    stream: Arc<str>,
    consumer: String,
    metrics: HandlerMetrics,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        let context = link.context();
        // A consumer that is not there yet, or a broker that is away, is the puller's concern.
        let found = tokio::select! {
            found = context.get_consumer_from_stream::<pull::Config, _, _>(&consumer, &*stream) => found,
            () = stop.cancelled() => return,
        };
        if let Ok(consumer) = found {
            metrics.lag(consumer.cached_info().num_pending);
        }
    }
}
