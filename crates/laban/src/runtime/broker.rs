//! Reaching the broker, and finding out whether it can do what the commit needs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::{Client, Event};
use laban_wire::{ConnectError, ConnectSettings, ServiceName};
use tokio::sync::watch;

use crate::Error;

/// The oldest server with atomic batches, which an outcome of several events needs.
const OLDEST: (i64, i64, i64) = (2, 12, 0);

/// Connects, waiting up to `patience` for a broker that is still starting. `epochs` counts how often the connection was made.
pub(crate) async fn connect(
    service: &ServiceName,
    settings: &ConnectSettings,
    epochs: &Arc<watch::Sender<u64>>,
    patience: Duration,
) -> Result<Client, Error> {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(50);
    let mut told = false;
    loop {
        let (name, epochs) = (service.clone(), Arc::clone(epochs));
        let options = settings.options().await?.event_callback(move |event| {
            tell(&name, &event);
            if matches!(event, Event::Connected) {
                epochs.send_modify(|epoch| *epoch += 1);
            }
            async {}
        });
        match settings.connect(options).await {
            Ok(client) => {
                tracing::info!(%service, url = %settings.shown_url(), "connected");
                return Ok(client);
            }
            Err(error @ ConnectError::Unreachable { .. }) if Instant::now() + pause < deadline => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%service, %error, "waiting for the broker");
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
            Err(error) => return Err(error.into()),
        }
    }
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
pub(crate) async fn check(service: &ServiceName, client: &Client) -> Result<(), Error> {
    let refuse = |reason: String| Error::Broker { service: service.to_string(), reason };
    let (major, minor, patch) = OLDEST;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(refuse(format!(
            "the broker is nats-server {}; {major}.{minor}.{patch} is the oldest with atomic batches, which the commit \
             needs: update it (docs/decisions has the features by version)",
            client.server_info().version
        )));
    }
    let jetstream = async_nats::jetstream::new(client.clone());
    jetstream.query_account().await.map_err(|error| {
        refuse(format!(
            "JetStream does not answer ({}); start the broker with `-js`, and enable it for this account",
            laban_wire::error_chain(&error)
        ))
    })?;
    Ok(())
}
