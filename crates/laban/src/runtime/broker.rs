//! Reaching the broker, and finding out whether it can do what the commit needs.

use std::sync::Arc;

use async_nats::{Client, Event};
use laban_wire::contract::Contract;
use laban_wire::{ConnectError, ConnectSettings, ServiceName};
use tokio::sync::watch;

use super::link::Link;
use super::patience::{Patience, Trouble, ask};
use super::{contracts, home, timers};
use crate::Error;
use crate::config::Config;
use crate::definition::Definition;

/// The oldest server with atomic batches, which an outcome of several events needs.
const OLDEST: (i64, i64, i64) = (2, 12, 0);

/// Connects, finds or makes the service's streams, and registers its contract: what a start waits for.
pub(crate) async fn reach(
    contract: &Contract,
    settings: ConnectSettings,
    definitions: &[Definition],
    config: &Config,
) -> Result<Link, Error> {
    let service = &contract.service;
    let patience = Patience::of(config.connect_timeout);
    let link = Link::connect(service, settings, patience).await?;
    patience.until("JetStream", || check(service, &link)).await?;
    let context = link.context();
    patience.until("the home stream", || home::ensure(service, &context, config)).await?;
    patience.until("the timer stream", || timers::ensure(service, definitions, &context, config)).await?;
    contracts::register(contract, &context, config).await?;
    Ok(link)
}

/// Connects, once. `epochs` counts how often the connection was made.
pub(crate) async fn connect(
    service: &ServiceName,
    settings: &ConnectSettings,
    epochs: &Arc<watch::Sender<u64>>,
) -> Result<Client, ConnectError> {
    let (name, epochs) = (service.clone(), Arc::clone(epochs));
    let options = settings.options().await?.event_callback(move |event| {
        tell(&name, &event);
        if matches!(event, Event::Connected) {
            epochs.send_modify(|epoch| *epoch += 1);
        }
        async {}
    });
    let client = settings.connect(options).await?;
    tracing::info!(%service, url = %settings.shown_url(), "connected");
    Ok(client)
}

fn tell(service: &ServiceName, event: &Event) {
    match event {
        Event::Connected => tracing::info!(%service, "the broker is there"),
        Event::Disconnected => tracing::warn!(%service, "the broker is away; reconnecting"),
        Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(%service, "{event}");
        }
        other => tracing::debug!(%service, "{other}"),
    }
}

/// Refuses a server that cannot do what is needed, rather than failing later in strange ways.
async fn check(service: &ServiceName, link: &Link) -> Result<(), Trouble> {
    let refuse = |reason: String| Error::Broker { service: service.to_string(), reason };
    let (major, minor, patch) = OLDEST;
    let client = link.client();
    if !client.is_server_compatible(major, minor, patch) {
        return Err(Trouble::Lasting(refuse(format!(
            "the broker is nats-server {}; {major}.{minor}.{patch} is the oldest with atomic batches, which the commit \
             needs: update it (docs/decisions has the features by version)",
            client.server_info().version
        ))));
    }
    let account: Result<serde::de::IgnoredAny, _> = ask(link.context(), "INFO", &()).await;
    account.map(drop).map_err(|error| {
        error.told(refuse(format!(
            "JetStream does not answer ({}); start the broker with `-js`, and enable it for this account",
            error.reason
        )))
    })
}
