//! What can only be seen while it happens: how often each consumer delivered, and who led each stream.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use async_nats::jetstream::stream::ClusterInfo;
use demo::Service;
use futures_util::TryStreamExt as _;
use laban_wire::metadata;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// How often is looked; what a consumer delivered between the last look and its end is not seen.
const LOOK: Duration = Duration::from_secs(1);

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// By consumer and when it was made: its deliveries.
    deliveries: HashMap<(String, String), u64>,
    /// By stream or consumer: since when it has had the leader that it has.
    led_since: HashMap<String, OffsetDateTime>,
    leader_changes: u64,
}

impl Watch {
    /// Looks again and again until told to stop.
    pub(crate) async fn run(&self, client: &Client, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.look(client).await;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Looks once. What cannot be seen now, because a broker is away, is seen the next time.
    pub(crate) async fn look(&self, client: &Client) {
        let context = jetstream::new(client.clone());
        for stream in Service::ALL.map(Service::home) {
            let Ok(stream) = context.get_stream(stream).await else { continue };
            let info = stream.cached_info();
            self.seen().led(info.config.name.clone(), info.cluster.as_ref());
            let Ok(consumers) = stream.consumers().try_collect::<Vec<_>>().await else { continue };
            let mut seen = self.seen();
            for info in consumers {
                let made = (info.name, info.created.to_string());
                seen.led(format!("{} {}", made.0, made.1), info.cluster.as_ref());
                // Others deliver what is no input of a handler: redrives, and what stops a timer.
                if !info.config.metadata.contains_key(metadata::EVENT) {
                    continue;
                }
                let deliveries = seen.deliveries.entry(made).or_default();
                *deliveries = info.delivered.consumer_sequence.max(*deliveries);
            }
        }
    }

    /// How often a broker delivered an input of a handler: at least.
    pub(crate) fn deliveries(&self) -> u64 {
        self.seen().deliveries.values().sum()
    }

    /// How often a stream or a consumer got a new leader: at least.
    pub(crate) fn leader_changes(&self) -> u64 {
        self.seen().leader_changes
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Notes that `what` has had a leader since then. A raft group elects one at most once at a time.
    fn led(&mut self, what: String, cluster: Option<&ClusterInfo>) {
        let Some(since) = cluster.and_then(|cluster| cluster.leader_since) else { return };
        let before = self.led_since.insert(what, since);
        self.leader_changes += u64::from(before.is_some_and(|before| before != since));
    }
}
