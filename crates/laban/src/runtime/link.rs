//! The connection to the broker, replaced when the client library has given it up for good.
//!
//! A client reconnects by itself when the connection is lost. But a message that it cannot even refuse (a lone carriage
//! return in a header value, for one) ends its connection task, and every clone of it with that. Whoever holds a link and
//! asks it for the client anew goes on with the next one.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use async_nats::{Client, jetstream};
use laban_wire::{ConnectSettings, FlowReader, ServiceName};
use tokio::sync::{Mutex, watch};

use super::broker;
use super::commit::Pause;
use super::hops::Marker;
use super::patience::Patience;
use crate::Error;

#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    service: ServiceName,
    settings: ConnectSettings,
    client: RwLock<Arc<Client>>,
    epochs: Arc<watch::Sender<u64>>,
    /// Held while the client is looked at and replaced, so that one of many who find it dead does.
    replacing: Mutex<()>,
    /// When the broker's hops are traced.
    marker: OnceLock<Marker>,
}

impl Link {
    /// Connects, waiting for a broker that is still starting.
    pub(crate) async fn connect(
        service: &ServiceName,
        mut settings: ConnectSettings,
        patience: Patience,
    ) -> Result<Self, Error> {
        settings.name = service.to_string();
        let epochs = Arc::new(watch::channel(0).0);
        let client = patience.until("the broker", || broker::connect(service, &settings, &epochs)).await?;
        Ok(Self(Arc::new(Inner {
            service: service.clone(),
            settings,
            client: RwLock::new(Arc::new(client)),
            epochs,
            replacing: Mutex::new(()),
            marker: OnceLock::new(),
        })))
    }

    /// The present client.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.0.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn context(&self) -> jetstream::Context {
        jetstream::new(Client::clone(&self.client()))
    }

    pub(crate) fn reader(&self) -> FlowReader {
        FlowReader::new(Client::clone(&self.client()))
    }

    /// Marks every traced message from now on.
    pub(super) fn mark_with(&self, marker: Marker) {
        // Only ever set once, at the start.
        let _ = self.0.marker.set(marker);
    }

    pub(super) fn marker(&self) -> Option<&Marker> {
        self.0.marker.get()
    }

    /// Changes whenever the connection was lost and found again.
    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.0.epochs.subscribe()
    }

    /// Replaces the client if it is dead, however long that takes.
    pub(crate) async fn revive(&self) {
        let _one = self.0.replacing.lock().await;
        if !is_dead(&self.client()).await {
            return;
        }
        tracing::error!(service = %self.0.service, "the client library has given up; connecting anew");
        let mut pause = Pause::default();
        loop {
            match broker::connect(&self.0.service, &self.0.settings, &self.0.epochs).await {
                Ok(client) => {
                    *self.0.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
                    return;
                }
                Err(error) => {
                    tracing::warn!(service = %self.0.service, %error, "cannot connect; trying again");
                    pause.long().await;
                }
            }
        }
    }
}

/// A client that is alive takes a flush, even if it cannot finish it now.
async fn is_dead(client: &Client) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(200), client.flush()).await, Ok(Err(_)))
}
