//! The servers: what they say to everybody, and what their monitoring says.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::asking::{Asking, No};
use super::clocks::{Reference, Sample};

/// Every server answers this for the account that asks. It says its version and the time; no system account is needed.
const EVERY_SERVER: &str = "$SYS.REQ.ACCOUNT.PING.STATZ";
/// Otherwise only those answer that have a client of the account.
const OTHERS_TOO: &str = r#"{"include_unused":true}"#;

/// What the monitoring of a server said, at `/healthz` and `/varz`.
#[derive(Clone, Debug)]
pub struct Monitored {
    /// Where it was asked.
    pub address: String,
    /// What `/healthz` said: that it is well, or why not.
    pub well: Result<(), String>,
    /// What `/varz` said, if it answered.
    pub varz: Option<Value>,
    /// When `/varz` was asked for.
    pub asked: Instant,
    /// When its answer was there.
    pub heard: Instant,
}

/// A server.
#[derive(Clone, Debug)]
pub(in super::super) struct Server {
    pub(in super::super) name: String,
    pub(in super::super) version: String,
    pub(in super::super) jetstream: bool,
    pub(in super::super) clock: Option<Sample>,
    /// What only its monitoring tells.
    pub(in super::super) store: Option<Store>,
}

/// What a server says of its JetStream.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Store {
    /// Nanoseconds between syncs.
    pub(in super::super) sync_interval: u64,
    pub(in super::super) sync_always: bool,
    pub(in super::super) storage: (u64, u64),
    pub(in super::super) memory: (u64, u64),
}

#[derive(Deserialize)]
struct Said {
    server: Speaker,
}

#[derive(Deserialize)]
struct Speaker {
    name: String,
    #[serde(default)]
    ver: String,
    #[serde(default)]
    jetstream: bool,
    #[serde(default, with = "time::serde::rfc3339::option")]
    time: Option<OffsetDateTime>,
}

/// Asks all servers that there are.
pub(super) async fn ask(
    asking: &Asking<'_>,
    reference: Reference,
    within: Duration,
) -> Result<Vec<Server>, No> {
    let (asked, answers) = asking.everybody(EVERY_SERVER, OTHERS_TOO, within).await?;
    let servers = answers.iter().filter_map(|answer| {
        let Said { server } = serde_json::from_slice(&answer.message.payload).ok()?;
        let clock = server.time.map(|said| reference.sample(said, asked, answer.heard));
        let Speaker { name, ver: version, jetstream, .. } = server;
        Some(Server { name, version, jetstream, clock, store: None })
    });
    Ok(servers.collect())
}

/// Adds what their monitoring says: to those that are known, or as one more.
pub(super) fn add_monitored(servers: &mut Vec<Server>, monitored: &[Monitored], reference: Reference) {
    for one in monitored {
        let Some(varz) = &one.varz else { continue };
        let text = |place: &str| varz[place].as_str().unwrap_or_default().to_owned();
        let store = store(varz);
        if let Some(known) = servers.iter_mut().find(|server| server.name == text("server_name")) {
            known.store = store;
            continue;
        }
        let now = varz["now"].as_str();
        let now = now
            .and_then(|now| OffsetDateTime::parse(now, &time::format_description::well_known::Rfc3339).ok());
        servers.push(Server {
            name: text("server_name"),
            version: text("version"),
            jetstream: store.is_some(),
            clock: now.map(|now| reference.sample(now, one.asked, one.heard)),
            store,
        });
    }
    servers.sort_by(|a, b| a.name.cmp(&b.name));
}

/// Nothing without JetStream.
fn store(varz: &Value) -> Option<Store> {
    let config = varz.pointer("/jetstream/config").filter(|config| !config.is_null())?;
    let stats = &varz["jetstream"]["stats"];
    let number = |of: &Value, place: &str| of[place].as_u64().unwrap_or_default();
    Some(Store {
        sync_interval: number(config, "sync_interval"),
        sync_always: config["sync_always"] == true,
        storage: (number(stats, "storage"), number(config, "max_storage")),
        memory: (number(stats, "memory"), number(config, "max_memory")),
    })
}
