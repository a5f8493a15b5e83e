//! Messages that cannot be delivered at all.
//!
//! A broker stores whatever header block it is given. The client library drops the connection over one that it cannot
//! parse, and would again at every delivery, for ever. So before pulling, and after every loss of the connection, what was delivered and not
//! acknowledged is read in another way, and what is malformed becomes a dead letter like any unreadable message.

use std::sync::Arc;

use async_nats::jetstream::consumer::pull;
use laban_wire::error_chain;
use tokio::sync::Mutex;

use super::delivery::Delivery;
use super::link::Link;
use super::pull::Worker;

/// Messages looked at after one loss of the connection. What is beyond is looked at after the next.
const MOST: usize = 5_000;

/// Where a consumer stands.
pub(super) struct Screen {
    pub(super) worker: Worker,
    pub(super) link: Link,
    /// Held by the one that looks.
    pub(super) screening: Arc<Mutex<()>>,
    pub(super) stream: Arc<str>,
    pub(super) consumer: String,
    pub(super) filter: String,
}

impl Screen {
    pub(super) async fn run(self) {
        let Ok(_one) = self.screening.try_lock() else { return };
        if let Err(reason) = self.look().await {
            tracing::debug!(consumer = self.consumer, reason, "not screened");
        }
    }

    async fn look(&self) -> Result<(), String> {
        let context = self.link.context();
        let found = context.get_consumer_from_stream::<pull::Config, _, _>(&self.consumer, &*self.stream);
        let consumer = found.await.map_err(|error| error_chain(&error))?;
        let info = consumer.cached_info();
        if info.num_ack_pending == 0 {
            return Ok(());
        }
        let reader = self.link.reader();
        let mut seq = info.ack_floor.stream_sequence + 1;
        for _ in 0..MOST {
            let next =
                reader.leader_next(&self.stream, &self.filter, seq).await.map_err(|e| e.to_string())?;
            let Some(stored) = next.filter(|next| next.seq <= info.delivered.stream_sequence) else { break };
            seq = stored.seq + 1;
            if stored.malformed.is_some() {
                let delivery = Delivery::of_stored(stored, &self.consumer, &self.link.client());
                self.worker.clone().settle(delivery, None).await;
            }
        }
        Ok(())
    }
}
