//! What is wrong with a live mesh, or will be: read from the broker and the instances, within limits, and changing nothing.
//!
//! Each kind of finding has a section in `docs/doctor.md`. What this user may not see is not found wrong, and not passed
//! over either: it is [listed](Examination::unseen), with what would let it be looked at.
//!
//! ```no_run
//! use laban_flow::doctor::{Options, Refusals, examine};
//! use laban_wire::FlowReader;
//!
//! # async fn look() -> Result<(), async_nats::ConnectError> {
//! let refusals = Refusals::default();
//! let heard = refusals.clone();
//! let options = async_nats::ConnectOptions::new().event_callback(move |event| {
//!     heard.note(&event);
//!     async {}
//! });
//! let client = options.connect("nats://127.0.0.1:4222").await?;
//! let reader = FlowReader::new(client.clone());
//! let examined = examine(&client, &reader, Vec::new(), &refusals, &Options::default()).await;
//! for finding in &examined.findings {
//!     println!("{}: {} {}: {}. Fix: {}", finding.severity, finding.kind, finding.subject, finding.what, finding.fix);
//! }
//! # Ok(())
//! # }
//! ```

mod checks;
mod finding;
mod seen;

use std::time::Duration;

use async_nats::Client;
use laban_wire::FlowReader;
use serde::{Deserialize, Serialize};

pub use finding::{Finding, Kind, Severity, UnknownKind, Unseen};
pub use seen::{Monitored, Refusals};

use crate::OVERDUE;
use seen::Seen;

/// How it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How long after the first look at consumers the second one comes, and how long servers and instances may take to
    /// answer; the latter for one second at least.
    pub watch_for: Duration,
    /// How long a reaction may take without any sign of life, before its flow is stuck.
    pub overdue: Duration,
    /// How many open flows are read, and how many dead letters.
    pub most: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { watch_for: Duration::from_secs(5), overdue: OVERDUE, most: 10_000 }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    /// What is wrong, the worst first; then by kind and subject.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    pub unseen: Vec<Unseen>,
    /// What was looked at.
    pub looked_at: LookedAt,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookedAt {
    /// Servers that answered.
    pub servers: usize,
    /// Services that anything tells of.
    pub services: usize,
    /// Instances that answered.
    pub instances: usize,
    /// Home streams, timer streams and the bucket of contracts.
    pub streams: usize,
    /// Consumers on them.
    pub consumers: usize,
    /// Contracts that are registered.
    pub contracts: usize,
    /// Open flows.
    pub flows: u64,
}

/// Examines the mesh of the client's account. `monitored` is what the servers' monitoring said, of as many of them as it was
/// asked; `refusals` has to be told of the events of the client's connection, and of the reader's.
pub async fn examine(
    client: &Client,
    reader: &FlowReader,
    monitored: Vec<Monitored>,
    refusals: &Refusals,
    options: &Options,
) -> Examination {
    let mut seen = seen::look(client, reader, monitored, refusals, options).await;
    let mut findings = checks::all(&seen, options);
    findings.sort_by(|a, b| (a.severity, a.kind, &a.subject).cmp(&(b.severity, b.kind, &b.subject)));
    let mut unseen = std::mem::take(&mut seen.unseen);
    unseen.extend(blind(&seen));
    Examination { findings, unseen, looked_at: looked_at(&seen) }
}

fn looked_at(seen: &Seen) -> LookedAt {
    LookedAt {
        servers: seen.servers.len(),
        services: seen.services().len(),
        instances: seen.instances.iter().flatten().count(),
        streams: seen.streams.iter().filter(|stream| stream.is_ours()).count(),
        consumers: seen.consumers.len(),
        contracts: seen.contracts.iter().flatten().count(),
        flows: seen.left.flows,
    }
}

/// What those who were asked did not say.
fn blind(seen: &Seen) -> Vec<Unseen> {
    let mut unseen = Vec::new();
    let closed: Vec<&str> = seen
        .servers
        .iter()
        .filter(|server| server.jetstream && server.store.is_none())
        .map(|server| server.name.as_str())
        .collect();
    if !closed.is_empty() {
        unseen.push(Unseen::new(
            format!("`sync_interval`, storage and health of {}", closed.join(", ")),
            "only a server's monitoring tells",
            "`--brokers http://<host>:8222`, for each of them",
        ));
    }
    let timeless: Vec<&str> = seen
        .instances
        .iter()
        .flatten()
        .filter(|instance| instance.clock.is_none())
        .map(|instance| instance.service.as_str())
        .collect();
    if !timeless.is_empty() {
        unseen.push(Unseen::new(
            format!("the clocks of instances of {}", timeless.join(", ")),
            "they do not say the time",
            "a release that does; or `now` in the `data` of their answer (docs/wire.md, *Who is there*)",
        ));
    }
    unseen
}
