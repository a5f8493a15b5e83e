//! One stream's replicas, changed.

use std::time::Duration;

use async_nats::{Client, Request};
use laban_flow::streams::Stream;
use laban_wire::error_chain;
use serde_json::Value;

use crate::Failure;

/// A cluster under load elects, and stores on a majority, before it answers.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the stream's configuration back as it is now, but for the number of replicas.
pub(super) async fn set_replicas(client: &Client, stream: &Stream, replicas: usize) -> Result<(), Failure> {
    let name = &stream.name;
    let now = stream.refreshed(client).await?;
    let body = now.with_replicas(replicas).to_string();
    let request = Request::new().payload(body.into()).timeout(Some(TIMEOUT));
    let answer = client.send_request(format!("$JS.API.STREAM.UPDATE.{name}"), request).await;
    let answer = answer.map_err(|error| {
        let reason = error_chain(&error);
        Failure::Broker(format!(
            "stream {name}: no answer to the change, which may have happened all the same ({reason}); `laban stream list` shows it"
        ))
    })?;
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
    if let Some(reason) = answer["error"]["description"].as_str() {
        return Err(Failure::NotDone(format!("stream {name}: the broker refuses: {reason}")));
    }
    if answer["config"]["num_replicas"] == replicas {
        return Ok(());
    }
    Err(Failure::Broker(format!("stream {name}: the broker's answer cannot be understood")))
}
