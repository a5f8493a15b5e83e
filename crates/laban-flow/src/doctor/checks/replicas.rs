//! Whether streams survive what a cluster is for.

use async_nats::jetstream::stream::ClusterInfo;

use super::super::seen::{No, Role, Seen, Silent, Stream};
use super::super::{Finding, Kind, Severity};
use super::age;

/// What the broker says where JetStream's own group has no leader.
const UNAVAILABLE: u64 = 10008;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    no_leader(seen, found);
    for stream in seen.streams.iter().filter(|stream| stream.is_ours()) {
        let Some(cluster) = &stream.info.cluster else { continue };
        if cluster.leader.is_some() {
            away(stream, cluster, found);
        }
        if is_clustered(cluster) {
            few(stream, seen, found);
        }
    }
}

/// A server that stands alone may name itself as leader.
fn is_clustered(cluster: &ClusterInfo) -> bool {
    cluster.name.as_ref().is_some_and(|name| !name.is_empty())
}

fn no_leader(seen: &Seen, found: &mut Vec<Finding>) {
    let fix =
        "start the nodes that are away: a majority of those that have a replica elects a leader by itself";
    let mut add = |subject: String, what: &str| {
        found.push(Finding::new(Severity::Error, Kind::NoLeader, subject, what, fix));
    };
    if let Some(No::Silent { .. } | No::Said { code: UNAVAILABLE, .. }) = &seen.jetstream {
        add("cluster".to_owned(), "JetStream is not available: its own group has no leader");
    }
    for silent in &seen.silent {
        match silent {
            Silent::Stream(name) => {
                add(name.clone(), "the stream does not answer: it takes no events, and gives none")
            }
            Silent::Consumer(stream, name) => {
                add(format!("{stream}/{name}"), "the consumer does not answer: its handler gets no events");
            }
        }
    }
    for stream in seen.streams.iter().filter(|stream| stream.is_ours()) {
        if stream
            .info
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.leader.as_deref().unwrap_or_default().is_empty())
        {
            add(stream.name().to_owned(), "the stream has no leader: it takes no events");
        }
    }
    for consumer in &seen.consumers {
        let cluster = consumer.last().cluster.as_ref();
        if cluster.is_some_and(|cluster| cluster.leader.as_deref().unwrap_or_default().is_empty()) {
            add(consumer.subject(), "the consumer has no leader: its handler gets no events");
        }
    }
}

fn away(stream: &Stream, cluster: &ClusterInfo, found: &mut Vec<Finding>) {
    let missing: Vec<_> = cluster.replicas.iter().filter(|peer| peer.offline || !peer.current).collect();
    let wanted = stream.info.config.num_replicas;
    let there = 1 + cluster.replicas.len() - missing.len();
    if there >= wanted {
        return;
    }
    // One more, and nothing is written.
    let left = there.saturating_sub(wanted / 2 + 1);
    let details = missing.iter().map(|peer| {
        let how = if peer.offline { "away" } else { "behind" };
        format!(
            "{}: {how}, heard of {} ago, {} behind",
            peer.name,
            age(peer.active),
            peer.lag.unwrap_or_default()
        )
    });
    let what = match left {
        0 => {
            format!("{there} of its {wanted} replicas are there: without one more of them it takes no events")
        }
        _ => format!("{there} of its {wanted} replicas are there"),
    };
    found.push(
        Finding::new(
            Severity::Warning,
            Kind::ReplicaAway,
            stream.name(),
            what,
            "start the node, or see why it does not catch up: a full or broken disk. One that is gone for good is replaced with \
             `nats server raft peer-remove`",
        )
        .with(details),
    );
}

fn few(stream: &Stream, seen: &Seen, found: &mut Vec<Finding>) {
    let replicas = stream.info.config.num_replicas;
    let nodes = seen.servers.iter().filter(|server| server.jetstream).count();
    if replicas >= 3 || nodes == 1 {
        return;
    }
    let there = if nodes > 1 { format!(" of {nodes} nodes") } else { String::new() };
    let replicas = if replicas == 1 { "one replica".to_owned() } else { format!("{replicas} replicas") };
    let (severity, lost) = match stream.role {
        Role::Contracts => (Severity::Note, "contracts cannot be read while its node is away"),
        _ => (
            Severity::Warning,
            "while one node is away it takes no events, and its records go with that node's disk",
        ),
    };
    found.push(Finding::new(
        severity,
        Kind::FewReplicas,
        stream.name(),
        format!("it has {replicas} in a cluster{there}: {lost}"),
        format!(
            "`laban stream replicas 3 {}`, and LABAN_REPLICAS=3 where its service is started",
            stream.name()
        ),
    ));
}
