//! What the driver asks JetStream, at the level of its API: few bytes, no state.

use std::collections::HashMap;

use async_nats::jetstream::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Doing as _, Error, Result};

/// How many messages a stream holds; on one subject, or all.
pub(super) async fn messages(js: &Context, stream: &str, subject: Option<&str>) -> Result<u64> {
    #[derive(Deserialize)]
    struct Info {
        state: Option<State>,
    }
    #[derive(Deserialize)]
    struct State {
        messages: u64,
        #[serde(default)]
        subjects: HashMap<String, u64>,
    }
    let asked = subject.map_or_else(|| json!({}), |subject| json!({"subjects_filter": subject}));
    let info: Info = js
        .request(format!("STREAM.INFO.{stream}"), &asked)
        .await
        .doing(format_args!("look at stream {stream}"))?;
    // A stream that is not there yet holds nothing.
    Ok(match (info.state, subject) {
        (None, _) => 0,
        (Some(state), None) => state.messages,
        (Some(state), Some(subject)) => state.subjects.get(subject).copied().unwrap_or(0),
    })
}

/// How many messages a consumer has had acknowledged, none missing before them.
pub(super) async fn acknowledged(js: &Context, stream: &str, consumer: &str) -> Result<u64> {
    #[derive(Deserialize)]
    struct Info {
        ack_floor: Option<Floor>,
    }
    #[derive(Deserialize)]
    struct Floor {
        consumer_seq: u64,
    }
    let info: Info = js
        .request(format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({}))
        .await
        .doing(format_args!("look at consumer {consumer}"))?;
    Ok(info.ack_floor.map_or(0, |floor| floor.consumer_seq))
}

/// Keeps a consumer from delivering until it is resumed. Who pulls waits.
pub(super) async fn pause(js: &Context, stream: &str, consumer: &str) -> Result<()> {
    set_pause(js, stream, consumer, json!({"pause_until": "2199-01-01T00:00:00Z"})).await
}

/// Lets a paused consumer deliver.
pub(super) async fn resume(js: &Context, stream: &str, consumer: &str) -> Result<()> {
    set_pause(js, stream, consumer, json!({})).await
}

async fn set_pause(js: &Context, stream: &str, consumer: &str, until: Value) -> Result<()> {
    let what = format!("pause or resume consumer {consumer}");
    let answer: Value =
        js.request(format!("CONSUMER.PAUSE.{stream}.{consumer}"), &until).await.doing(&what)?;
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(Error::new(format!("cannot {what}: {error}"))),
    }
}
