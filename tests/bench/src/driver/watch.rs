//! Last events as they arrive, through a plain subscription.

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use serde::Deserialize;
use std::time::Instant;

use crate::error::{Doing as _, Error, Result};

/// Last events as they arrive.
pub(crate) struct Arrivals(pub(super) Subscriber);

impl Arrivals {
    /// The flow of the next one, and when it came.
    pub(crate) async fn next(&mut self) -> Result<(String, Instant)> {
        #[derive(Deserialize)]
        struct Event {
            order: Order,
        }
        #[derive(Deserialize)]
        struct Order {
            id: String,
        }
        let message = self.0.next().await.ok_or_else(|| Error::new("the broker is gone"))?;
        let arrived = Instant::now();
        let event: Event = serde_json::from_slice(&message.payload).doing("read a last event")?;
        Ok((event.order.id, arrived))
    }
}
