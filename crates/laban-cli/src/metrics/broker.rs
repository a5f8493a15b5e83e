//! The brokers themselves, as their monitoring tells.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::page::{self, Page};
use crate::http;

const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 1 << 20;

/// Asks all of them at once. One that does not answer, or says that it is not well, is not up: that is how a broker tells
/// of a disk that it could not write to.
pub(super) async fn look(addresses: &[String], page: &mut Page) {
    let ask = async |address: &String| {
        let (well, said) = tokio::join!(get(address, "/healthz"), get(address, "/varz"));
        (address.clone(), well.is_some(), said.and_then(|body| serde_json::from_slice::<Value>(&body).ok()))
    };
    for (address, well, said) in join_all(addresses.iter().map(ask)).await {
        let server = address.trim_start_matches("http://");
        let labels = [("server", server)];
        page.add(&page::BROKER_UP, &labels, f64::from(u8::from(well)));
        let Some(said) = said else { continue };
        let told = [
            (&page::BROKER_MEMORY, "/mem"),
            (&page::BROKER_CONNECTIONS, "/connections"),
            (&page::BROKER_SLOW, "/slow_consumers"),
            (&page::BROKER_STORAGE, "/jetstream/stats/storage"),
            (&page::BROKER_STORAGE_LIMIT, "/jetstream/config/max_storage"),
        ];
        for (family, place) in told {
            // Without JetStream there is no storage.
            if let Some(value) = said.pointer(place).and_then(Value::as_f64) {
                page.add(family, &labels, value);
            }
        }
    }
}

async fn get(address: &str, path: &str) -> Option<Vec<u8>> {
    http::get(&format!("{address}{path}"), PATIENCE, LARGEST).await.ok()?
}
