//! What is on its way between services: two looks at the consumers, and what failed in between.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{DEAD, EventType, FlowReader, Message, RETRYING, Stored, metadata};
use serde::{Deserialize, Serialize};

use super::{Map, Place};
use crate::mesh::{AT_ONCE, read_consumer};
use crate::{Error, api};

/// What was on its way while it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// For how long it was measured.
    pub seconds: f64,
    /// From each event type to each handler that reacts to it, ordered by service, handler and event.
    pub edges: Vec<EdgeTraffic>,
}

/// What is on its way from an event type to a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeTraffic {
    /// The service that reacts.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// The event type.
    pub on: EventType,
    /// Deliveries a second, repeated ones included.
    pub per_second: f64,
    /// Events that wait to be delivered.
    pub lag: u64,
    /// Events that are delivered and not settled.
    pub in_hand: u64,
    /// Of these, events that were delivered more than once.
    pub redelivered: u64,
    /// Attempts that failed while it was measured.
    pub retries: u64,
    /// The same, a second.
    pub retries_per_second: f64,
    /// Dead letters that were written while it was measured.
    pub dead: u64,
}

/// A look: when it was, the last sequence of each service's home stream, and the state of each consumer.
struct Look {
    at: Instant,
    homes: BTreeMap<String, Home>,
    consumers: BTreeMap<(Place, EventType), Progress>,
}

struct Home {
    service: String,
    last_seq: u64,
}

#[derive(Clone, Copy)]
struct Progress {
    delivered: u64,
    lag: u64,
    in_hand: u64,
    redelivered: u64,
}

impl Map {
    /// Measures what is on its way to each handler for this long.
    ///
    /// # Errors
    /// When the broker does not answer in full.
    pub async fn measure(
        &mut self,
        client: &Client,
        reader: &FlowReader,
        time: Duration,
    ) -> Result<(), Error> {
        let before = look(client).await?;
        tokio::time::sleep(time).await;
        let after = look(client).await?;
        let seconds = (after.at - before.at).as_secs_f64().max(1e-3);
        let failures = failures(reader, &before, &after).await?;
        let edges = after.consumers.into_iter().map(|(edge, now)| {
            let earlier = before.consumers.get(&edge).map_or(now.delivered, |earlier| earlier.delivered);
            let failed = failures.get(&edge).copied().unwrap_or_default();
            let (Place { service, handler }, on) = edge;
            EdgeTraffic {
                service,
                handler,
                on,
                // A consumer that was made again begins anew.
                per_second: per_second(now.delivered.saturating_sub(earlier), seconds),
                lag: now.lag,
                in_hand: now.in_hand,
                redelivered: now.redelivered,
                retries: failed.retries,
                retries_per_second: per_second(failed.retries, seconds),
                dead: failed.dead,
            }
        });
        self.traffic = Some(Traffic { seconds, edges: edges.collect() });
        Ok(())
    }

    /// What was on its way from this event type to this handler.
    pub fn traffic_on(&self, service: &str, handler: &str, on: &EventType) -> Option<&EdgeTraffic> {
        let edges = &self.traffic.as_ref()?.edges;
        edges.iter().find(|edge| edge.service == service && edge.handler == handler && edge.on == *on)
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody delivers so many in a few seconds")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

async fn look(client: &Client) -> Result<Look, Error> {
    let mut homes = BTreeMap::new();
    for info in api::streams(client).await? {
        if let Some(service) = info.config.metadata.get(metadata::SERVICE) {
            let home = Home { service: service.clone(), last_seq: info.state.last_seq };
            homes.insert(info.config.name, home);
        }
    }
    let at = Instant::now();
    let infos: Vec<_> = stream::iter(homes.keys())
        .map(async |stream| api::consumers(client, stream).await)
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut consumers = BTreeMap::new();
    for info in infos.iter().flatten() {
        // Those that cannot be understood are problems of the map already.
        let Some(Ok(declared)) = read_consumer(info) else { continue };
        let progress = Progress {
            delivered: info.delivered.consumer_seq,
            lag: info.num_pending,
            in_hand: info.num_ack_pending,
            redelivered: info.num_redelivered,
        };
        let place = Place { service: declared.service, handler: declared.handler };
        consumers.insert((place, declared.on), progress);
    }
    Ok(Look { at, homes, consumers })
}

#[derive(Clone, Copy, Default)]
struct Failures {
    retries: u64,
    dead: u64,
}

/// What services wrote about failures between the two looks. Read by subject: only what failed is read.
async fn failures(
    reader: &FlowReader,
    before: &Look,
    after: &Look,
) -> Result<BTreeMap<(Place, EventType), Failures>, Error> {
    let mut found = BTreeMap::<_, Failures>::new();
    for (stream, Home { service, last_seq }) in &after.homes {
        let from = before.homes.get(stream).map_or(0, |home| home.last_seq) + 1;
        if from > *last_seq {
            continue;
        }
        for record in [RETRYING, DEAD] {
            let filter = format!("{service}.{record}.*");
            let written = reader.any_replica(stream, &filter, from).await?;
            for stored in written.into_iter().filter(|stored| stored.seq <= *last_seq) {
                let Some(edge) = edge_of(service, stored) else { continue };
                let failures = found.entry(edge).or_default();
                if record == DEAD { failures.dead += 1 } else { failures.retries += 1 }
            }
        }
    }
    Ok(found)
}

fn edge_of(service: &str, stored: Stored) -> Option<(Place, EventType)> {
    let reaction = Message::try_from(stored).ok()?.meta.reaction?;
    let place = Place { service: service.to_owned(), handler: reaction.handler.to_string() };
    Some((place, reaction.on))
}
