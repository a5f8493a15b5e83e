//! Streams and consumers, as JetStream tells.

use async_nats::Client;
use async_nats::jetstream::{self, consumer, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use laban_wire::{error_chain, metadata};

use super::page::{self, Page};
use crate::Failure;

/// How many streams are asked for their consumers at once.
const AT_ONCE: usize = 16;

/// Tells of the services' streams, and of the consumers on them.
pub(super) async fn look(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let context = jetstream::new(client.clone());
    let streams: Vec<stream::Info> = context
        .streams()
        .try_collect()
        .await
        .map_err(|e| Failure::Broker(format!("the streams: {}", error_chain(&e))))?;
    let own = streams.iter().filter(|info| service(&info.config.metadata).is_some());
    own.clone().for_each(|info| tell_stream(info, page));
    let consumers: Vec<Vec<consumer::Info>> = futures_util::stream::iter(own)
        .map(async |info| {
            let name = &info.config.name;
            let failed = |e: &(dyn std::error::Error + 'static)| {
                Failure::Broker(format!("the consumers of stream {name}: {}", error_chain(e)))
            };
            let stream = context.get_stream_no_info(name).await.map_err(|e| failed(&e))?;
            stream.consumers().try_collect().await.map_err(|e| failed(&e))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    consumers.iter().flatten().for_each(|info| tell_consumer(info, page));
    Ok(())
}

fn tell_stream(info: &stream::Info, page: &mut Page) {
    let stream::Info { config, state, cluster, .. } = info;
    let service = service(&config.metadata).unwrap_or_default();
    let labels = [("laban_service", service), ("stream", config.name.as_str())];
    page.add(&page::MESSAGES, &labels, state.messages as f64);
    page.add(&page::BYTES, &labels, state.bytes as f64);
    // A server that stands alone says nothing of a cluster.
    let there = cluster.as_ref().map_or(config.num_replicas, |cluster| {
        let others = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline);
        usize::from(cluster.leader.is_some()) + others.count()
    });
    page.add(&page::REPLICAS_MISSING, &labels, config.num_replicas.saturating_sub(there) as f64);
}

fn tell_consumer(info: &consumer::Info, page: &mut Page) {
    let said = &info.config.metadata;
    let (Some(service), Some(handler)) = (service(said), said.get(metadata::HANDLER)) else { return };
    let labels = [
        ("laban_service", service),
        ("laban_handler", handler.as_str()),
        ("messaging_consumer_group_name", info.name.as_str()),
    ];
    page.add(&page::PENDING, &labels, info.num_pending as f64);
    page.add(&page::UNACKNOWLEDGED, &labels, info.num_ack_pending as f64);
}

fn service(said: &std::collections::HashMap<String, String>) -> Option<&str> {
    said.get(metadata::SERVICE).or_else(|| said.get(metadata::TIMERS)).map(String::as_str)
}
