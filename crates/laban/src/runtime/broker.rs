//! Reaching the broker, and finding out whether it can do what the commit needs.

use std::time::{Duration, Instant};

use async_nats::{Client, Event};
use laban_wire::{ConnectError, ConnectSettings, ServiceName};
use tokio::sync::watch;

use crate::Error;
use crate::config::Config;

/// The oldest server with atomic batches, which an outcome of several events needs.
const OLDEST: (i64, i64, i64) = (2, 12, 0);

/// A connection, and a count that changes whenever it was lost and found again.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) epochs: watch::Receiver<u64>,
}

/// Connects, waiting for a broker that is still starting.
pub(crate) async fn connect(
    service: &ServiceName,
    mut settings: ConnectSettings,
    config: &Config,
) -> Result<Connection, Error> {
    settings.name = service.to_string();
    let deadline = Instant::now() + config.connect_timeout;
    let mut pause = Duration::from_millis(50);
    let mut told = false;
    loop {
        let (epoch, epochs) = watch::channel(0);
        let name = service.clone();
        let options = settings.options().await?.event_callback(move |event| {
            tell(&name, &event);
            if matches!(event, Event::Connected) {
                epoch.send_modify(|epoch| *epoch += 1);
            }
            async {}
        });
        match settings.connect(options).await {
            Ok(client) => {
                tracing::info!(%service, url = %settings.shown_url(), "connected");
                return Ok(Connection { client, epochs });
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
