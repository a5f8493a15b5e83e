//! Whether nodes are a cluster, as their monitoring has it.

use std::collections::HashMap;

use serde_json::Value;

use super::{name, placing};
use crate::Broker;

/// What keeps the nodes that run from being a cluster, in one line; `None` if nothing does.
pub(super) async fn lacks(nodes: &[Broker]) -> Option<String> {
    let running: Vec<(String, &Broker)> = running(nodes).collect();
    let runs = |name: &String| running.iter().any(|(other, _)| other == name);
    // Who leads finds out only after some seconds that the others are gone.
    if running.len() * 2 <= nodes.len() {
        return Some(format!("{} of {} nodes run, which is no majority", running.len(), nodes.len()));
    }
    let Some(leader) = meta_leader(nodes).await else {
        return Some("they agree on no meta leader that runs".into());
    };
    let mut leaders = HashMap::new();
    // Who has not applied it all may not know of the streams that are looked at below.
    let end = end_of_log(&running, &leader).await;
    for (name, node) in &running {
        if meta_log(node).await["applied"].as_u64() < end {
            return Some(format!("{name} does not know all that the cluster decided"));
        }
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
        // A group without a leader passes for healthy, and answers nobody. Just elected, it may not be the last.
        let Some(groups) = groups(node).await else {
            return Some(format!("{name} does not list its streams"));
        };
        if let Some(headless) = groups.iter().find(|group| !runs(&group.leader)) {
            return Some(format!("{} has no leader that runs", headless.what));
        }
        for group in &groups {
            let leader = leaders.entry(group.what.clone()).or_insert_with(|| group.leader.clone());
            if *leader != group.leader {
                return Some(format!("{} is led by {leader}, or by {}", group.what, group.leader));
            }
        }
        if let Some(few) = groups.iter().find(|group| !group.has_majority(runs)) {
            return Some(format!("{} has no majority that runs", few.what));
        }
    }
    // Nodes that were never heard of, since they do not run, would be found fault with for as long.
    let (_, first) = running.first().filter(|_| running.len() == nodes.len())?;
    placing::refused(first.addr()).await
}

/// The name of the node that all nodes that run take for the meta leader, if it is one of them.
pub(super) async fn meta_leader(nodes: &[Broker]) -> Option<String> {
    let mut leader: Option<String> = None;
    for (_, node) in running(nodes) {
        let named = text(&meta(node).await["leader"]);
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

/// How a node stands in the log of that group.
async fn meta_log(node: &Broker) -> Value {
    let groups = node.monitor("/raftz?group=_meta_").await.unwrap_or_default();
    // Under the name of the system account, which may be any.
    let mut accounts = groups.as_object().into_iter().flat_map(|accounts| accounts.values());
    accounts.next().map(|groups| groups["_meta_"].clone()).unwrap_or_default()
}

/// Up to where the leader's log goes.
async fn end_of_log(running: &[(String, &Broker)], leader: &str) -> Option<u64> {
    let (_, leader) = running.iter().find(|(name, _)| name == leader)?;
    meta_log(leader).await["pindex"].as_u64()
}

/// The names of those the leader has at its side and up to date. Others get no streams.
fn seen(meta: &Value) -> Vec<String> {
    let current = list(&meta["replicas"]).filter(|peer| peer["current"] == true && peer["offline"] != true);
    current.map(|peer| text(&peer["name"])).collect()
}

/// A stream, or a consumer, as one of its nodes sees it.
struct Group {
    what: String,
    /// Empty without one.
    leader: String,
    /// The other nodes of it.
    others: Vec<String>,
}

impl Group {
    fn new(what: String, cluster: &Value) -> Self {
        let others = list(&cluster["replicas"]).map(|peer| text(&peer["name"])).collect();
        Self { what, leader: text(&cluster["leader"]), others }
    }

    fn has_majority(&self, runs: impl Fn(&String) -> bool) -> bool {
        let running = 1 + self.others.iter().filter(|other| runs(other)).count();
        running * 2 > 1 + self.others.len()
    }
}

/// The groups that a node has a part in.
async fn groups(node: &Broker) -> Option<Vec<Group>> {
    let jetstream = node.monitor("/jsz?accounts=true&streams=true&consumers=true").await?;
    let mut groups = Vec::new();
    for stream in list(&jetstream["account_details"]).flat_map(|account| list(&account["stream_detail"])) {
        let name = text(&stream["name"]);
        groups.push(Group::new(format!("the stream {name}"), &stream["cluster"]));
        groups.extend(list(&stream["consumer_detail"]).map(|consumer| {
            let consumer_name = text(&consumer["name"]);
            Group::new(format!("the consumer {consumer_name} of the stream {name}"), &consumer["cluster"])
        }));
    }
    Some(groups)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
