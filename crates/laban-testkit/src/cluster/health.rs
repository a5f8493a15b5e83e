//! Whether nodes are a cluster, as their monitoring has it.

use serde_json::Value;

use super::name;
use crate::Broker;

/// What keeps the nodes that run from being a cluster, in one line; `None` if nothing does.
pub(super) async fn lacks(nodes: &[Broker]) -> Option<String> {
    let running: Vec<(String, &Broker)> = running(nodes).collect();
    if running.is_empty() {
        return Some("no node runs".into());
    }
    let Some(leader) = meta_leader(nodes).await else {
        return Some("they agree on no meta leader that runs".into());
    };
    for (name, node) in &running {
        if node.monitor("/healthz").await.is_none() {
            return Some(format!("{name} is not healthy"));
        }
        if *name == leader {
            let seen = seen(&meta(node).await);
            if let Some((other, _)) =
                running.iter().find(|(other, _)| *other != leader && !seen.contains(other))
            {
                return Some(format!("{other} is not up to date with the meta leader {leader}"));
            }
        }
        // A group without a leader passes for healthy, and answers nobody.
        let Some(groups) = groups(node).await else {
            return Some(format!("{name} does not list its streams"));
        };
        let led = |group: &&Group| running.iter().any(|(other, _)| *other == group.leader);
        if let Some(headless) = groups.iter().find(|group| !led(group)) {
            return Some(format!("{} has no leader that runs", headless.what));
        }
    }
    None
}

/// The name of the node that all nodes that run take for the meta leader, if it is one of them.
pub(super) async fn meta_leader(nodes: &[Broker]) -> Option<String> {
    let mut leader: Option<String> = None;
    for (_, node) in running(nodes) {
        let named = leader_of(&meta(node).await);
        if *leader.get_or_insert_with(|| named.clone()) != named {
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
    let current = list(&meta["replicas"]).filter(|peer| peer["current"] == true && peer["offline"] != true);
    current.map(|peer| text(&peer["name"])).collect()
}

/// A stream, or a consumer, and who leads it.
struct Group {
    what: String,
    leader: String,
}

/// The groups that a node has a part in.
async fn groups(node: &Broker) -> Option<Vec<Group>> {
    let jetstream = node.monitor("/jsz?accounts=true&streams=true&consumers=true").await?;
    let mut groups = Vec::new();
    for stream in list(&jetstream["account_details"]).flat_map(|account| list(&account["stream_detail"])) {
        let name = text(&stream["name"]);
        groups.push(Group { what: format!("the stream {name}"), leader: leader_of(&stream["cluster"]) });
        groups.extend(list(&stream["consumer_detail"]).map(|consumer| Group {
            what: format!("the consumer {} of the stream {name}", text(&consumer["name"])),
            leader: leader_of(&consumer["cluster"]),
        }));
    }
    Some(groups)
}

/// Empty without one.
fn leader_of(group: &Value) -> String {
    text(&group["leader"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
