//! What is acknowledged before it is on a disk.

use std::time::Duration;

use async_nats::jetstream::stream::{PersistenceMode, StorageType};

use super::super::seen::{Seen, Server, Stream};
use super::super::{Finding, Kind, Severity};
use super::{age, release};

/// Before it, compaction went past `sync_interval: always` (nats-server #8475).
const SOUND: (u64, u64, u64) = (2, 15, 1);
/// So many replicas that a power cut at one of them forgets nothing.
const ENOUGH: usize = 3;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for server in &seen.servers {
        let Some(store) = server.store else { continue };
        let kept: Vec<&Stream> = seen.streams.iter().filter(|stream| is_kept_by(stream, server)).collect();
        if kept.is_empty() {
            continue;
        }
        let few: Vec<&str> =
            kept.iter().filter(|one| one.info.config.num_replicas < ENOUGH).map(|one| one.name()).collect();
        let every = age(Duration::from_nanos(store.sync_interval));
        let (what, fix) = if !store.sync_always {
            (
                format!(
                    "it writes to the disk every {every}: a power cut forgets what it acknowledged since"
                ),
                "`jetstream { sync_interval: always }` in its configuration",
            )
        } else if release(&server.version).is_some_and(|version| version < SOUND) {
            (
                format!(
                    "it is nats-server {}: before 2.15.1 `sync_interval: always` has a hole",
                    server.version
                ),
                "update it to 2.15.1 or newer",
            )
        } else {
            continue;
        };
        let (severity, rest) = if few.is_empty() {
            let rest = "every stream there has three replicas: only a cut at two nodes at once forgets";
            (Severity::Note, rest.to_owned())
        } else {
            (Severity::Warning, format!("with fewer than three replicas: {}", few.join(", ")))
        };
        let fix = match severity {
            Severity::Note => format!("nothing, where nodes do not share their power; else {fix}"),
            _ => {
                format!("{fix}; or three replicas on nodes that do not share their power (LABAN_REPLICAS=3)")
            }
        };
        found.push(Finding::new(severity, Kind::LaxSync, &server.name, what, fix).with([rest]));
    }
    for stream in seen.streams.iter().filter(|stream| stream.is_ours()) {
        if stream.info.config.persist_mode == Some(PersistenceMode::Async) {
            found.push(Finding::new(
                Severity::Warning,
                Kind::LaxSync,
                stream.name(),
                "its `persist_mode` is `async`: it acknowledges what is not written yet",
                "a copy of the stream without it: `nats stream backup`, delete, restore with another configuration",
            ));
        }
    }
}

/// Whether a stream of the mesh is on this server's disk.
fn is_kept_by(stream: &Stream, server: &Server) -> bool {
    let of = |name: &str| name == server.name;
    stream.is_ours()
        && stream.info.config.storage == StorageType::File
        && stream.info.cluster.as_ref().is_none_or(|cluster| {
            cluster.leader.as_deref().is_some_and(of) || cluster.replicas.iter().any(|peer| of(&peer.name))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::seen::Store;
    use super::super::testing;
    use super::*;

    fn found(version: &str, sync_always: bool, replicas: u64) -> Vec<(Severity, String)> {
        let store = Store { sync_always, sync_interval: 120_000_000_000, ..Store::default() };
        let config = json!({"num_replicas": replicas});
        let seen = Seen {
            streams: vec![testing::home("ORDER", "2026-11-27T00:00:00Z", &config, &json!({}))],
            servers: vec![testing::server(version, store)],
            ..Seen::default()
        };
        let mut found = Vec::new();
        check(&seen, &mut found);
        found.into_iter().map(|one| (one.severity, one.what)).collect()
    }

    #[test]
    fn replicas_make_it_less_grave_and_an_old_server_has_a_hole() {
        assert_eq!(found("2.15.1", true, 1), []);
        let lax = found("2.15.1", false, 1);
        assert!(lax[0].0 == Severity::Warning && lax[0].1.contains("every 2.0 min"), "{lax:?}");
        assert_eq!(found("2.15.1", false, 3)[0].0, Severity::Note);
        let hole = found("2.15.0", true, 1);
        assert!(hole[0].0 == Severity::Warning && hole[0].1.contains("has a hole"), "{hole:?}");
        assert_eq!(found("2.15.0", true, 3)[0].0, Severity::Note);
    }

    #[test]
    fn what_is_kept_in_memory_has_no_disk_to_be_late_on() {
        let config = json!({"storage": "memory"});
        let seen = Seen {
            streams: vec![testing::home("ORDER", "2026-11-27T00:00:00Z", &config, &json!({}))],
            servers: vec![testing::server("2.15.1", Store::default())],
            ..Seen::default()
        };
        let mut found = Vec::new();
        check(&seen, &mut found);
        assert_eq!(found, []);
    }
}
