//! Whether nodes are a cluster, as their monitoring has it.

use serde_json::Value;

use super::name;
use crate::Broker;

/// What keeps the nodes that run from being a cluster, in one line; `None` if nothing does.
pub(super) async fn lacks(nodes: &[Broker]) -> Option<String> {
    let running: Vec<String> = running(nodes).map(|(name, _)| name).collect();
    if running.is_empty() {
        return Some("no node runs".into());
    }
    let Some(leader) = meta_leader(nodes).await else {
        return Some("they agree on no meta leader that runs".into());
    };
    for (name, node) in self::running(nodes) {
        if node.monitor("/healthz").await.is_none() {
            return Some(format!("{name} is not healthy"));
        }
        if name == leader {
            let seen = seen(&meta(node).await);
            if let Some(missing) = running.iter().find(|node| **node != leader && !seen.contains(node)) {
                return Some(format!("{missing} is not up to date with the meta leader {leader}"));
            }
        }
    }
    None
}

/// The name of the node that all nodes that run take for the meta leader, if it is one of them.
pub(super) async fn meta_leader(nodes: &[Broker]) -> Option<String> {
    let mut leader: Option<String> = None;
    for (_, node) in running(nodes) {
        let named = meta(node).await["leader"].as_str()?.to_owned();
        if leader.get_or_insert_with(|| named.clone()) != &named {
            return None;
        }
    }
    leader.filter(|leader| running(nodes).any(|(name, _)| name == *leader))
}

fn running(nodes: &[Broker]) -> impl Iterator<Item = (String, &Broker)> {
    let named = nodes.iter().enumerate().map(|(i, node)| (name(i), node));
    named.filter(|(_, node)| node.process().is_running())
}

/// A node's view of the group that leads the cluster.
async fn meta(node: &Broker) -> Value {
    let mut jetstream = node.monitor("/jsz").await.unwrap_or_default();
    jetstream["meta_cluster"].take()
}

/// The names of those the leader has at its side and up to date. Others get no streams.
fn seen(meta: &Value) -> Vec<String> {
    let replicas = meta["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
    let seen = replicas.iter().filter(|peer| peer["current"] == true && peer["offline"] != true);
    seen.filter_map(|peer| peer["name"].as_str().map(str::to_owned)).collect()
}
