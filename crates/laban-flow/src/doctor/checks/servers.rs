//! The servers themselves: their versions, and whether they are well.

use std::collections::BTreeMap;

use super::super::seen::{No, Seen};
use super::super::{Finding, Kind, Severity};
use super::release;

/// The oldest with atomic batches, which an outcome of several events needs.
const OLDEST: (u64, u64, u64) = (2, 12, 0);
/// What the broker says where an account may not use JetStream, or no server has it.
const OFF: [u64; 2] = [10039, 10076];

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for server in &seen.servers {
        versions.entry(&server.version).or_default().push(&server.name);
        if release(&server.version).is_some_and(|found| found < OLDEST) {
            found.push(Finding::new(
                Severity::Error,
                Kind::ServerTooOld,
                &server.name,
                format!("it is nats-server {}; 2.12.0 is the oldest with atomic batches", server.version),
                "update it: services refuse to start on it, and those that run cannot write several events at once",
            ));
        }
    }
    if versions.len() > 1 {
        let details = versions.iter().map(|(version, names)| format!("{version}: {}", names.join(", ")));
        let newest = versions.keys().max_by_key(|version| release(version)).copied().unwrap_or_default();
        found.push(
            Finding::new(
                Severity::Warning,
                Kind::ServersDiffer,
                "cluster",
                format!("its servers are of {} versions", versions.len()),
                format!(
                    "bring them all to {newest}: until then it depends on who leads a stream what can be done with it"
                ),
            )
            .with(details),
        );
    }
    unwell(seen, found);
    off(seen, found);
}

fn unwell(seen: &Seen, found: &mut Vec<Finding>) {
    for one in &seen.monitored {
        let Err(reason) = &one.well else { continue };
        found.push(Finding::new(
            Severity::Error,
            Kind::ServerUnwell,
            &one.address,
            format!("its `/healthz` does not say that it is well: {reason}"),
            "is the process there, is its disk full, has it caught up? Its log names the stream and the error. After a full \
             disk make room, and restart it",
        ));
    }
}

fn off(seen: &Seen, found: &mut Vec<Finding>) {
    let fix = "start the servers with `-js` (or a `jetstream` block), and enable it for this account";
    let why = match &seen.jetstream {
        Some(No::Nobody { .. }) => Some("nobody answers JetStream's API".to_owned()),
        Some(No::Said { code, text }) if OFF.contains(code) => {
            Some(format!("the broker says: {text} ({code})"))
        }
        _ => None,
    };
    if let Some(why) = why {
        found.push(Finding::new(Severity::Error, Kind::JetstreamOff, "account", why, fix));
        return;
    }
    let has = seen.servers.iter().filter(|server| server.jetstream).count();
    for server in seen.servers.iter().filter(|server| !server.jetstream && has > 0) {
        found.push(Finding::new(
            Severity::Note,
            Kind::JetstreamOff,
            &server.name,
            "it has no JetStream: it keeps no stream, and counts for no majority",
            format!("nothing, if that is meant; else {fix}"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::seen::Server;
    use super::*;

    fn server(name: &str, version: &str, jetstream: bool) -> Server {
        Server { name: name.to_owned(), version: version.to_owned(), jetstream, clock: None, store: None }
    }

    fn found(servers: Vec<Server>) -> Vec<(Severity, Kind, String)> {
        let mut found = Vec::new();
        check(&Seen { servers, ..Seen::default() }, &mut found);
        found.into_iter().map(|one| (one.severity, one.kind, one.subject)).collect()
    }

    #[test]
    fn an_old_server_is_named_and_so_is_a_mixture() {
        let servers = vec![server("a", "2.11.11", true), server("b", "2.12.0", true)];
        let wanted = [
            (Severity::Error, Kind::ServerTooOld, "a".to_owned()),
            (Severity::Warning, Kind::ServersDiffer, "cluster".to_owned()),
        ];
        assert_eq!(found(servers), wanted);
        assert_eq!(found(vec![server("a", "2.15.1", true), server("b", "2.15.1", true)]), []);
    }

    #[test]
    fn a_node_without_jetstream_is_a_note() {
        let servers = vec![server("a", "2.15.1", true), server("b", "2.15.1", false)];
        assert_eq!(found(servers), [(Severity::Note, Kind::JetstreamOff, "b".to_owned())]);
    }
}
