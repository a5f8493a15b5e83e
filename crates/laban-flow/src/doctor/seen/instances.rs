//! Who is there: the instances of the services, each for itself.

use std::time::Duration;

use laban_wire::{InstanceData, metadata};
use serde::Deserialize;

use super::asking::{Asking, No};
use super::clocks::{Reference, Sample};

const EVERYBODY: &str = "$SRV.STATS";

/// An instance, as it answered.
#[derive(Clone, Debug)]
pub(in super::super) struct Instance {
    pub(in super::super) service: String,
    pub(in super::super) id: String,
    pub(in super::super) version: String,
    pub(in super::super) data: InstanceData,
    pub(in super::super) clock: Option<Sample>,
    /// The durable names of the consumers that it pulls from.
    pub(in super::super) consumers: Vec<String>,
}

impl Instance {
    /// Which one it is, for people.
    pub(in super::super) fn told(&self) -> String {
        let place = match (&self.data.ip, self.data.pid) {
            (Some(ip), Some(pid)) => format!(" at {ip}, process {pid}"),
            (Some(ip), None) => format!(" at {ip}"),
            _ => String::new(),
        };
        format!("instance {}{place}", self.id)
    }
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    metadata: Option<std::collections::HashMap<String, String>>,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    queue_group: String,
}

/// Asks everybody, and leaves out those that are no services of the mesh.
pub(super) async fn ask(
    asking: &Asking<'_>,
    reference: Reference,
    within: Duration,
) -> Result<Vec<Instance>, No> {
    let (asked, answers) = match asking.everybody(EVERYBODY, "", within).await {
        Err(No::Nobody { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let mut instances: Vec<Instance> = answers
        .iter()
        .filter_map(|answer| {
            let said: Said = serde_json::from_slice(&answer.message.payload).ok()?;
            let service = said.metadata?.remove(metadata::SERVICE)?;
            let data = said.data.and_then(|data| serde_json::from_value(data).ok());
            let data: InstanceData = data.unwrap_or_default();
            Some(Instance {
                service,
                id: said.id,
                version: said.version,
                clock: data.now.map(|now| reference.sample(now, asked, answer.heard)),
                data,
                consumers: said.endpoints.into_iter().flatten().map(|one| one.queue_group).collect(),
            })
        })
        .collect();
    instances.sort_by(|a, b| (&a.service, &a.id).cmp(&(&b.service, &b.id)));
    Ok(instances)
}
