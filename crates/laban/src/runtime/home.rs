//! The home stream: the one stream that a service writes.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, Info, Placement, RetentionPolicy,
};
use async_nats::jetstream::{Context, ErrorCode};
use laban_wire::metadata::{SERVICE, WIRE, WIRE_VERSION};
use laban_wire::{ServiceName, home_stream};
use serde::{Deserialize, Serialize};

use super::patience::{Trouble, Unanswered, ask};
use crate::Error;
use crate::config::{Config, PLACEMENT_CLUSTER, PLACEMENT_TAGS};

/// What the service asks of its home stream.
fn wanted(service: &ServiceName, config: &Config) -> StreamConfig {
    StreamConfig {
        name: home_stream(service),
        // Exactly three tokens: a flow id that was not escaped finds no stream, and its publisher hears of it.
        subjects: vec![format!("{service}.*.*")],
        description: Some(format!("all that service {service} ever did")),
        retention: RetentionPolicy::Limits,
        // A full stream refuses: evicting records of live flows would break the fence.
        discard: DiscardPolicy::New,
        max_age: config.retention,
        storage: config.storage,
        num_replicas: config.replicas,
        placement: config.placement.clone(),
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: HashMap::from([
            (SERVICE.to_owned(), service.to_string()),
            (WIRE.to_owned(), WIRE_VERSION.to_owned()),
        ]),
        ..StreamConfig::default()
    }
}

/// Finds or makes the home stream, and refuses one that is not as the commit needs it.
pub(crate) async fn ensure(service: &ServiceName, context: &Context, config: &Config) -> Result<(), Trouble> {
    find_or_make(service, context, "home", &wanted(service, config), drift).await
}

/// Finds or makes a stream of the service, and refuses one that falls short of what is wanted.
pub(super) async fn find_or_make(
    service: &ServiceName,
    context: &Context,
    what: &str,
    wanted: &StreamConfig,
    drift: fn(&StreamConfig, &StreamConfig) -> Vec<String>,
) -> Result<(), Trouble> {
    let refuse = |reason: String| Error::Broker { service: service.to_string(), reason };
    for subjects in &wanted.subjects {
        let holder = holder(context, subjects).await.map_err(|error| {
            error.told(refuse(format!("the broker's streams cannot be listed: {}", error.reason)))
        })?;
        if let Some(other) = holder.filter(|holder| *holder != wanted.name) {
            let owner = owner(context, &other).await;
            return Err(Trouble::Lasting(refuse(format!(
                "its subjects {subjects} already belong to stream {other}{owner}, and its {what} would be stream {}: two \
                 services cannot share a name; rename one, or delete the other stream",
                wanted.name
            ))));
        }
    }
    let found = match info(context, &wanted.name).await {
        Ok(found) => found,
        Err(error) if error.code == Some(ErrorCode::STREAM_NOT_FOUND) => {
            let subject = format!("STREAM.CREATE.{}", wanted.name);
            let created: Info = ask(context.clone(), &subject, wanted).await.map_err(|error| {
                let mut reason =
                    format!("its {what} stream {} could not be made: {}", wanted.name, error.reason);
                if error.code == Some(ErrorCode::CLUSTER_NO_PEERS) {
                    reason += &asked_of_nodes(wanted);
                }
                error.told(refuse(reason))
            })?;
            tracing::info!(%service, stream = wanted.name, "{what} stream made");
            created
        }
        Err(error) => {
            let reason = format!("its {what} stream {} cannot be seen: {}", wanted.name, error.reason);
            return Err(error.told(refuse(reason)));
        }
    };
    let drift = drift(&found.config, wanted);
    if drift.is_empty() {
        return Ok(());
    }
    Err(Trouble::Lasting(refuse(format!(
        "its {what} stream {} is not as it needs it: {}; change it with `nats stream edit {}`, or set the service's own \
         settings to match",
        wanted.name,
        drift.join("; "),
        wanted.name
    ))))
}

/// What no node, or too few, can give: the broker tells of nodes, not of the settings that they do not meet.
fn asked_of_nodes(wanted: &StreamConfig) -> String {
    let nodes = match wanted.num_replicas {
        1 => "a node that is there".to_owned(),
        replicas => format!("{replicas} nodes that are there"),
    };
    match &wanted.placement {
        None => format!("; it needs {nodes} (LABAN_REPLICAS)"),
        Some(placement) => format!(
            "; it needs {nodes} (LABAN_REPLICAS), {} ({PLACEMENT_CLUSTER}, {PLACEMENT_TAGS})",
            place(placement)
        ),
    }
}

async fn info(context: &Context, stream: &str) -> Result<Info, Unanswered> {
    ask(context.clone(), &format!("STREAM.INFO.{stream}"), &()).await
}

/// In what a stream falls short. More than was asked for (a longer retention, more replicas) is no fault: an operator may
/// raise them first.
pub(super) struct Drift(pub(super) Vec<String>);

impl Drift {
    /// In what any stream of a service may. Its metadata `key` says whose `what` it is.
    pub(super) fn of(found: &StreamConfig, wanted: &StreamConfig, key: &str, what: &str) -> Self {
        let mut drift = Self(Vec::new());
        let owner = found.metadata.get(key);
        drift.must(
            owner.is_none_or(|owner| Some(owner) == wanted.metadata.get(key)),
            format!("it is the {what} of service {}", owner.map_or("?", String::as_str)),
        );
        drift.must(owner.is_some(), format!("it lacks the metadata {key}={}", wanted.metadata[key]));
        drift.must(
            found.subjects == wanted.subjects,
            format!("it takes subjects {}, not {}", found.subjects.join(", "), wanted.subjects.join(", ")),
        );
        drift.must(found.max_messages_per_subject <= 0, "it limits the messages per subject".to_owned());
        drift.must(!found.allow_message_ttl, "it allows messages to expire one by one".to_owned());
        let wire = found.metadata.get(WIRE).map_or("none", String::as_str);
        drift.must(
            owner.is_none() || wire == WIRE_VERSION,
            format!("its wire format is {wire}, not {WIRE_VERSION}"),
        );
        drift.must(!found.sealed, "it is sealed".to_owned());
        drift.must(!found.no_ack, "it does not acknowledge".to_owned());
        drift.must(
            found.storage == wanted.storage,
            format!("it is kept in {:?}, not {:?} (LABAN_STORAGE)", found.storage, wanted.storage),
        );
        drift.must(
            found.num_replicas >= wanted.num_replicas,
            format!("it has {} replicas, not {} (LABAN_REPLICAS)", found.num_replicas, wanted.num_replicas),
        );
        if let Some(wanted) = &wanted.placement {
            let found = found.placement.clone().unwrap_or_default();
            drift.must(
                is_within(&found, wanted),
                format!(
                    "it is placed {}, not {} ({PLACEMENT_CLUSTER}, {PLACEMENT_TAGS})",
                    place(&found),
                    place(wanted)
                ),
            );
        }
        drift
    }

    pub(super) fn must(&mut self, holds: bool, what: String) {
        if !holds {
            self.0.push(what);
        }
    }
}

/// More tags leave fewer nodes, all of which are among those asked for.
fn is_within(found: &Placement, wanted: &Placement) -> bool {
    let has_tag = |tag: &String| found.tags.iter().any(|other| other.eq_ignore_ascii_case(tag));
    (wanted.cluster.is_none() || found.cluster == wanted.cluster) && wanted.tags.iter().all(has_tag)
}

fn place(placement: &Placement) -> String {
    let cluster = placement.cluster.as_ref().map(|name| format!("in cluster {name}"));
    let tags =
        (!placement.tags.is_empty()).then(|| format!("on nodes with {}", placement.tags.join(" and ")));
    let said: Vec<String> = cluster.into_iter().chain(tags).collect();
    if said.is_empty() { "on any node".to_owned() } else { said.join(" ") }
}

fn drift(found: &StreamConfig, wanted: &StreamConfig) -> Vec<String> {
    let mut drift = Drift::of(found, wanted, SERVICE, "home");
    drift.must(found.retention == RetentionPolicy::Limits, "its retention is not `limits`".to_owned());
    drift.must(
        found.discard == DiscardPolicy::New,
        "it discards old messages when full, not new ones".to_owned(),
    );
    drift.must(found.allow_direct, "direct get is not allowed".to_owned());
    drift.must(found.allow_atomic_publish, "atomic batches are not allowed".to_owned());
    // They could erase records that the fence rests on.
    drift.must(!found.allow_rollup, "it allows rollups".to_owned());
    let keeps_long_enough =
        found.max_age.is_zero() || (!wanted.max_age.is_zero() && found.max_age >= wanted.max_age);
    drift.must(
        keeps_long_enough,
        format!(
            "it keeps records {}, not {} (LABAN_RETENTION_DAYS)",
            days(found.max_age),
            days(wanted.max_age)
        ),
    );
    drift.0
}

fn days(age: Duration) -> String {
    if age.is_zero() { "for ever".to_owned() } else { format!("{:.1} days", age.as_secs_f64() / 86_400.0) }
}

#[derive(Serialize)]
struct NamesRequest<'a> {
    subject: &'a str,
}

#[derive(Deserialize)]
struct Names {
    streams: Option<Vec<String>>,
}

/// The stream that takes a subject, if any does.
async fn holder(context: &Context, subject: &str) -> Result<Option<String>, Unanswered> {
    let names: Names = ask(context.clone(), "STREAM.NAMES", &NamesRequest { subject }).await?;
    Ok(names.streams.unwrap_or_default().into_iter().next())
}

async fn owner(context: &Context, stream: &str) -> String {
    let owner = info(context, stream).await.ok().and_then(|info| info.config.metadata.get(SERVICE).cloned());
    owner.map(|owner| format!(" of service {owner}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> StreamConfig {
        let config = crate::config::Config::from_lookup(|_| None).unwrap();
        wanted(&"payment".parse().unwrap(), &config)
    }

    #[test]
    fn more_than_asked_for_is_no_drift() {
        let found = StreamConfig { num_replicas: 3, max_age: Duration::ZERO, ..config() };
        assert_eq!(drift(&found, &config()), Vec::<String>::new());
    }

    #[test]
    fn a_placement_may_be_narrower_than_asked_and_no_wider() {
        let placed = |cluster: Option<&str>, tags: &[&str]| StreamConfig {
            placement: Some(Placement {
                cluster: cluster.map(str::to_owned),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            }),
            ..config()
        };
        let wanted = placed(Some("eu"), &["ssd"]);
        assert_eq!(drift(&placed(Some("eu"), &["az:1", "SSD"]), &wanted), Vec::<String>::new());
        assert_eq!(drift(&placed(Some("us"), &[]), &config()), Vec::<String>::new());
        for (found, told) in [
            (config(), "on any node"),
            (placed(None, &["ssd"]), "on nodes with ssd"),
            (placed(Some("us"), &["ssd"]), "in cluster us on nodes with ssd"),
            (placed(Some("eu"), &["hdd"]), "in cluster eu on nodes with hdd"),
        ] {
            let expected = format!(
                "it is placed {told}, not in cluster eu on nodes with ssd (LABAN_PLACEMENT_CLUSTER, LABAN_PLACEMENT_TAGS)"
            );
            assert_eq!(drift(&found, &wanted), [expected]);
        }
    }

    #[test]
    fn every_shortcoming_is_named() {
        let day = Duration::from_secs(86_400);
        let cases: [(StreamConfig, &str); 9] = [
            (StreamConfig { allow_rollup: true, ..config() }, "rollups"),
            (StreamConfig { allow_message_ttl: true, ..config() }, "one by one"),
            (StreamConfig { max_age: day, ..config() }, "1.0 days"),
            (StreamConfig { discard: DiscardPolicy::Old, ..config() }, "discards old"),
            (StreamConfig { allow_atomic_publish: false, ..config() }, "atomic"),
            (StreamConfig { allow_direct: false, ..config() }, "direct get"),
            (StreamConfig { max_messages_per_subject: 1, ..config() }, "per subject"),
            (StreamConfig { subjects: vec!["payment.>".into()], ..config() }, "payment.>"),
            (
                StreamConfig { metadata: HashMap::from([(SERVICE.into(), "billing".into())]), ..config() },
                "service billing",
            ),
        ];
        for (found, named) in cases {
            let drift = drift(&found, &config()).join("; ");
            assert!(drift.contains(named), "{named}: {drift}");
        }
    }
}
