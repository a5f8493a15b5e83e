//! Who of a service is there: those that answer the services protocol.

use std::time::Duration;

use async_nats::{Client, StatusCode};
use futures_util::StreamExt as _;
use laban_wire::{ServiceName, error_chain, metadata};
use serde::{Deserialize, Serialize};

use super::Target;
use crate::Error;

/// How long answers are waited for. Nobody knows how many there are to come.
const ANSWERS: Duration = Duration::from_secs(1);

/// An instance of a service that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Instance {
    /// Its own id, made when it started.
    pub id: String,
    /// The version that its author gave.
    pub version: String,
    /// What it reacts to: handler and event.
    pub reactions: Vec<(String, String)>,
}

impl Instance {
    /// Whether it does what is to leave.
    pub fn has(&self, target: &Target) -> bool {
        target.is_whole() || self.reactions.iter().any(|(handler, event)| target.means(handler, event))
    }
}

#[derive(Deserialize)]
struct Info {
    id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    metadata: std::collections::HashMap<String, String>,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    metadata: std::collections::HashMap<String, String>,
}

/// Asks all instances of a service who they are, and waits a second for answers; ordered by version and id. One that may not
/// subscribe to `$SRV.>`, is frozen or cut off does not answer.
///
/// # Errors
/// When the question cannot be asked.
pub async fn instances(client: &Client, service: &ServiceName) -> Result<Vec<Instance>, Error> {
    let what = || format!("the instances of {service}");
    let failed = |reason: String| Error::Broker { what: what(), reason };
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(error_chain(&error)))?;
    let question = format!("$SRV.INFO.{service}");
    let asked = client.publish_with_reply(question, inbox, "".into()).await;
    asked.map_err(|error| failed(error_chain(&error)))?;
    let mut found = Vec::new();
    let all = async {
        while let Some(answer) = answers.next().await {
            if answer.status == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            let Ok(info) = serde_json::from_slice::<Info>(&answer.payload) else { continue };
            // Somebody else's micro service may have the same name.
            if info.metadata.get(metadata::SERVICE).is_some_and(|name| name == service.as_str()) {
                found.push(read(info));
            }
        }
    };
    // Silence is how it ends where somebody answers.
    let _ = tokio::time::timeout(ANSWERS, all).await;
    found.sort_by(|a, b| (&a.version, &a.id).cmp(&(&b.version, &b.id)));
    found.dedup();
    Ok(found)
}

fn read(info: Info) -> Instance {
    let reaction = |endpoint: Endpoint| {
        let of = |key: &str| endpoint.metadata.get(key).cloned();
        Some((of(metadata::HANDLER)?, of(metadata::EVENT)?))
    };
    let reactions = info.endpoints.into_iter().filter_map(reaction).collect();
    Instance { id: info.id, version: info.version, reactions }
}
