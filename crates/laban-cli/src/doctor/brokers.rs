//! The brokers' own monitoring.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use laban_flow::doctor::Monitored;

use crate::http;

const PATIENCE: Duration = Duration::from_secs(5);
const LARGEST: usize = 1 << 20;

/// Asks all of them at once, for their health and their figures.
pub(super) async fn ask(addresses: &[String]) -> Vec<Monitored> {
    join_all(addresses.iter().map(|address| one(address))).await
}

async fn one(address: &str) -> Monitored {
    let well = get(address, "/healthz").await.map(drop);
    let asked = Instant::now();
    let varz = get(address, "/varz").await.ok().and_then(|body| serde_json::from_slice(&body).ok());
    Monitored { address: address.to_owned(), well, varz, asked, heard: Instant::now() }
}

async fn get(address: &str, path: &str) -> Result<Vec<u8>, String> {
    let found = http::get(&format!("{address}{path}"), PATIENCE, LARGEST).await?;
    found.ok_or_else(|| format!("there is no `{path}`: is this the monitoring address of a nats-server?"))
}
