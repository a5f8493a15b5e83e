//! `LABAN_TRACE_BROKER`: asking the broker to tell what becomes of each message on its way into the stream.
//!
//! A message with a `Nats-Trace-Dest` header is reported on by every server that it passes through. The broker drops a
//! message whose publisher may not publish to that subject itself, so it is tried once, with a message that is not
//! delivered, before the first event is marked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::{Client, HeaderName, Subscriber};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::commit::Pause;
use super::link::Link;
use crate::telemetry::HopSpans;

const DESTINATION: HeaderName = HeaderName::from_static("Nats-Trace-Dest");
const ONLY: HeaderName = HeaderName::from_static("Nats-Trace-Only");
/// How long the first report may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reports repeat the message's headers; more than this is none.
const MAX_REPORT_BYTES: usize = 256 << 10;

/// Marks messages, so that the broker reports on them.
pub(crate) struct Marker {
    /// Reports go to `<inbox>.<number of the publication>`.
    inbox: String,
    publications: AtomicU64,
}

impl Marker {
    /// Asks for reports about this publication.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let number = self.publications.fetch_add(1, Ordering::Relaxed);
        headers.insert(DESTINATION, format!("{}.{number}", self.inbox));
    }
}

/// Has all traced messages of this link marked from now on, and makes spans of what the broker reports. If the broker does
/// not, it says so, and leaves them as they are.
pub(crate) async fn trace(link: &Link, service: &str, spans: Arc<HopSpans>, stop: CancellationToken) {
    let client = link.client();
    let inbox = client.new_inbox();
    let reports = match begin(&client, &inbox).await {
        Ok(reports) => reports,
        Err(reason) => {
            tracing::warn!(
                %service, %reason,
                "LABAN_TRACE_BROKER: the broker reports nothing, so its hops are not traced; the service needs the permission to publish and to subscribe to its own inbox"
            );
            return;
        }
    };
    link.mark_with(Marker { inbox: inbox.clone(), publications: AtomicU64::new(0) });
    tracing::info!(%service, "the broker's hops are traced");
    let (link, service) = (link.clone(), service.to_owned());
    tokio::spawn(async move {
        tokio::select! {
            () = receive(&link, &service, &inbox, reports, &spans) => {}
            () = stop.cancelled() => {}
        }
    });
}

/// Subscribes to reports, and waits for one about a message that goes nowhere.
async fn begin(client: &Client, inbox: &str) -> Result<Subscriber, String> {
    let mut reports = subscribe(client, inbox).await?;
    let probe = format!("{inbox}.probe");
    let mut headers = HeaderMap::new();
    headers.insert(DESTINATION, probe.as_str());
    headers.insert(ONLY, "true");
    let sent = client.publish_with_headers(probe, headers, "".into()).await;
    sent.map_err(|error| error.to_string())?;
    match tokio::time::timeout(PATIENCE, reports.next()).await {
        Ok(Some(_)) => Ok(reports),
        _ => Err(format!("no report within {} s", PATIENCE.as_secs())),
    }
}

async fn subscribe(client: &Client, inbox: &str) -> Result<Subscriber, String> {
    client.subscribe(format!("{inbox}.*")).await.map_err(|error| error.to_string())
}

async fn receive(link: &Link, service: &str, inbox: &str, mut reports: Subscriber, spans: &HopSpans) {
    let mut pause = Pause::default();
    loop {
        while let Some(report) = reports.next().await {
            let publication = report.subject.rsplit('.').next().unwrap_or_default();
            if report.payload.len() > MAX_REPORT_BYTES {
                continue;
            }
            if let Err(error) = spans.take(publication, &report.payload) {
                tracing::debug!(%service, %error, "a report of the broker cannot be read");
            }
        }
        // The client library has given up.
        loop {
            pause.long().await;
            link.revive().await;
            if let Ok(again) = subscribe(&link.client(), inbox).await {
                reports = again;
                break;
            }
        }
    }
}
