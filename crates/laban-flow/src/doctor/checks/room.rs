//! Whether there is room: now, and when the present retention is full.

use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use time::OffsetDateTime;

use super::super::seen::{Seen, Server, Stream};
use super::super::{Finding, Kind, Severity};
use super::{age, bytes};
use crate::sizing::{Cost, Held};

/// From here on it is worth a warning, in hundredths.
const NEAR: u64 = 80;
/// From here on it is a matter of hours.
const FULL: u64 = 95;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    account(seen, found);
    for stream in seen.streams.iter().filter(|stream| stream.is_ours()) {
        limits(stream, found);
    }
    for server in &seen.servers {
        let Some(store) = server.store else { continue };
        let raise = "or raise `max_file_store` (`max_memory_store`) in its configuration";
        filling(&server.name, "the file storage of its streams", store.storage, raise, found);
        filling(&server.name, "the memory storage of its streams", store.memory, raise, found);
    }
    costly(seen, found);
}

/// How bad it is that so much of so much is used; nothing where there is no limit.
fn pressure((used, most): (u64, u64)) -> Option<Severity> {
    let hundredths = used.saturating_mul(100).checked_div(most)?;
    match hundredths {
        FULL.. => Some(Severity::Error),
        NEAR.. => Some(Severity::Warning),
        _ => None,
    }
}

fn filling(subject: &str, what: &str, room: (u64, u64), raise: &str, found: &mut Vec<Finding>) {
    let Some(severity) = pressure(room) else { return };
    let (used, most) = room;
    found.push(Finding::new(
        severity,
        Kind::StorageFilling,
        subject,
        format!("{what}: {} of {} are used; when it is full no service commits", bytes(used), bytes(most)),
        format!(
            "delete a foreign stream, shorten the retention of all streams that rest on each other, {raise}"
        ),
    ));
}

fn account(seen: &Seen, found: &mut Vec<Finding>) {
    let Some(account) = &seen.account else { return };
    let own = (account.limits.max_storage, account.storage, account.limits.max_memory, account.memory);
    let tiers = account.tiers.values();
    let tiers =
        tiers.map(|tier| (tier.limits.max_storage, tier.storage, tier.limits.max_memory, tier.memory));
    for (max_storage, storage, max_memory, memory) in std::iter::once(own).chain(tiers) {
        // -1 is none.
        let most = |limit: Option<i64>| limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or_default();
        let raise = "or raise the account's limit";
        filling("account", "the file storage of the account", (storage, most(max_storage)), raise, found);
        filling("account", "the memory storage of the account", (memory, most(max_memory)), raise, found);
    }
}

fn limits(stream: &Stream, found: &mut Vec<Finding>) {
    let (config, state) = (&stream.info.config, &stream.info.state);
    let most = |limit: i64| u64::try_from(limit).unwrap_or_default();
    let full = "when it is full its service commits nothing";
    let fix = format!("raise the limit: `nats stream edit {}`", stream.name());
    let mut add = |room: (u64, u64), told: String| {
        if let Some(severity) = pressure(room) {
            let what = format!("{told} are used; {full}");
            found.push(Finding::new(severity, Kind::StorageFilling, stream.name(), what, &*fix));
        }
    };
    let room = (state.bytes, most(config.max_bytes));
    add(room, format!("{} of its `max_bytes` {}", bytes(room.0), bytes(room.1)));
    let room = (state.messages, most(config.max_messages));
    add(room, format!("{} of its `max_msgs` {}", room.0, room.1));
}

/// What the streams cost when each keeps as much as it may.
fn costly(seen: &Seen, found: &mut Vec<Finding>) {
    let now = seen.now.unwrap_or_else(OffsetDateTime::now_utc);
    let kept = |stream: &&Stream| stream.is_ours() && stream.info.config.storage == StorageType::File;
    let costs: Vec<(&Stream, Cost, Cost)> = seen
        .streams
        .iter()
        .filter(kept)
        .filter_map(|stream| {
            let held = held(stream, now);
            let full = held.is_settled().then(|| held.when_full()).flatten()?;
            Some((stream, held.cost(), full))
        })
        .collect();
    for server in &seen.servers {
        let Some(store) = server.store else { continue };
        let here: Vec<_> = costs.iter().filter(|(stream, ..)| is_on(stream, server)).copied().collect();
        // What is nearly full already is told of as that.
        if pressure(store.storage).is_none() {
            let (what, of) = ("on disk, and it may store", |cost: Cost| cost.disk_bytes);
            found.extend(grown(server, &here, (what, store.storage.1), of));
        }
        let (what, of) = ("of memory for their subjects, and it may use", |cost: Cost| cost.memory_bytes);
        found.extend(grown(server, &here, (what, store.memory.1), of));
    }
}

fn grown(
    server: &Server,
    here: &[(&Stream, Cost, Cost)],
    (what, most): (&str, u64),
    of: fn(Cost) -> u64,
) -> Option<Finding> {
    let full: u64 = here.iter().map(|(.., full)| of(*full)).fold(0, u64::saturating_add);
    let mut growing: Vec<_> = here.iter().filter(|(_, now, full)| of(*full) > of(*now)).collect();
    pressure((full, most)).filter(|_| !growing.is_empty())?;
    growing.sort_by_key(|(.., full)| std::cmp::Reverse(of(*full)));
    let details = growing.iter().map(|(stream, now, full)| {
        let kept = age(stream.info.config.max_age);
        format!("{}: {} now, {} when its {kept} are full", stream.name(), bytes(of(*now)), bytes(of(*full)))
    });
    let finding = Finding::new(
        Severity::Warning,
        Kind::CostlyRetention,
        &server.name,
        format!("at the present rate its streams come to {} {what} {}", bytes(full), bytes(most)),
        "a shorter retention for all streams that rest on each other (LABAN_RETENTION_DAYS, and `nats stream edit`), or a larger \
         machine; docs/operations.md, *Sizing*",
    );
    Some(finding.with(details))
}

fn held(stream: &Stream, now: OffsetDateTime) -> Held {
    let (config, state) = (&stream.info.config, &stream.info.state);
    Held {
        messages: state.messages,
        bytes: state.bytes,
        subjects: state.subjects_count,
        age: Duration::try_from(now - state.first_timestamp).unwrap_or_default(),
        max_age: (!config.max_age.is_zero()).then_some(config.max_age),
    }
}

fn is_on(stream: &Stream, server: &Server) -> bool {
    stream.info.cluster.as_ref().is_none_or(|cluster| {
        let of = |name: &str| name == server.name;
        cluster.leader.as_deref().is_some_and(of) || cluster.replicas.iter().any(|peer| of(&peer.name))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::Store;
    use super::super::testing;
    use super::*;

    const GIB: u64 = 1 << 30;

    /// What is found of a stream of 30 days that is this old, on a server that may store 10 GiB and use 1 GiB of memory.
    fn after(age: time::Duration, bytes: u64, subjects: u64) -> Vec<Finding> {
        let now = OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000);
        let first = (now - age).format(&time::format_description::well_known::Rfc3339).unwrap();
        let config = serde_json::json!({"max_age": 30 * 86_400 * 1_000_000_000_u64});
        let state = serde_json::json!({"messages": 1_000, "bytes": bytes, "num_subjects": subjects});
        let store = Store { storage: (bytes, 10 * GIB), memory: (0, GIB), ..Store::default() };
        let seen = Seen {
            streams: vec![testing::home("ORDER", &first, &config, &state)],
            servers: vec![testing::server("2.15.1", store)],
            now: Some(now),
            ..Seen::default()
        };
        let mut found = Vec::new();
        check(&seen, &mut found);
        found
    }

    #[test]
    fn a_retention_that_will_not_fit_is_found_before_it_is_full() {
        let day = time::Duration::DAY;
        // A tenth of its time: ten times as much when it is full.
        let found = after(3 * day, GIB, 100);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].kind, found[0].severity), (Kind::CostlyRetention, Severity::Warning));
        assert!(found[0].what.contains("come to 10.0 GiB on disk, and it may store 10.0 GiB"), "{found:?}");
        assert_eq!(found[0].details, ["ORDER: 1.0 GiB now, 10.0 GiB when its 30.0 days are full"]);
        // Half of that does fit.
        assert_eq!(after(6 * day, GIB, 100), []);
        // 630 bytes for each of 250,000 subjects, ten times.
        let found = after(3 * day, 1_000, 250_000);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("1.5 GiB of memory for their subjects"), "{found:?}");
        // Of a young stream nobody knows the rate.
        assert_eq!(after(time::Duration::MINUTE, GIB, 100), []);
        // What is full already is told of as that.
        let found = after(3 * day, 9 * GIB, 100);
        assert_eq!(found.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::StorageFilling]);
    }

    #[test]
    fn nothing_is_near_a_limit_that_is_none() {
        assert_eq!(pressure((100, 0)), None);
        assert_eq!(pressure((79, 100)), None);
        assert_eq!(pressure((80, 100)), Some(Severity::Warning));
        assert_eq!(pressure((95, 100)), Some(Severity::Error));
        assert_eq!(pressure((u64::MAX, 100)), Some(Severity::Error));
    }
}
