//! Which nodes there are to have replicas.

use std::time::Duration;

use async_nats::{Client, HeaderMap};
use futures_util::StreamExt as _;
use laban_flow::streams::{Placement, Stream};
use laban_wire::error_chain;
use serde_json::Value;

use crate::Failure;

/// Answered by every node, for any account: about its connections, of which one is more than is wanted to know.
const PING: &str = "$SYS.REQ.SERVER.PING.CONNZ";
const LITTLE: &str = r#"{"limit":1}"#;
/// How long they have to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A node with JetStream.
pub(super) struct Node {
    name: String,
    cluster: String,
    tags: Vec<String>,
}

impl Node {
    fn of(answer: &Value) -> Option<Self> {
        let server = &answer["server"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (server["jetstream"] == true).then(|| Self {
            name: text(&server["name"]),
            cluster: text(&server["cluster"]),
            tags: server["tags"].as_array().into_iter().flatten().map(text).collect(),
        })
    }

    /// Whether it may have a replica of the stream.
    fn may_have(&self, stream: &Stream) -> bool {
        let Placement { cluster, tags } = &stream.placement;
        let has_tag = |tag: &String| self.tags.iter().any(|own| own.eq_ignore_ascii_case(tag));
        let cluster = cluster.as_ref().or(stream.cluster.as_ref());
        cluster.is_none_or(|cluster| self.cluster == *cluster) && tags.iter().all(has_tag)
    }
}

/// Fails if too few nodes are there for what is asked. Says whether it is known: nobody may have answered.
pub(super) async fn suffice(client: &Client, streams: &[&Stream], replicas: usize) -> Result<bool, Failure> {
    let fitting = |nodes: &[Node], stream: &Stream| -> Vec<String> {
        let fit = nodes.iter().filter(|node| node.may_have(stream));
        fit.map(|node| node.name.clone()).collect()
    };
    let enough = |nodes: &[Node]| streams.iter().all(|stream| fitting(nodes, stream).len() >= replicas);
    let nodes = ask(client, enough).await?;
    if nodes.is_empty() {
        return Ok(false);
    }
    for stream in streams {
        let mut fit = fitting(&nodes, stream);
        if fit.len() < replicas {
            fit.sort();
            let there = if fit.is_empty() {
                "none is there".to_owned()
            } else {
                format!("there are {}: {}", fit.len(), fit.join(", "))
            };
            return Err(Failure::NotDone(format!(
                "{} is to have {replicas} replicas, which takes {replicas} nodes{}; {there}. Nothing was done",
                stream.name,
                wanted(stream)
            )));
        }
    }
    Ok(true)
}

/// What its placement asks of a node.
fn wanted(stream: &Stream) -> String {
    let cluster = stream.placement.cluster.as_ref().map(|name| format!(" in cluster {name}"));
    let tags = (!stream.placement.tags.is_empty())
        .then(|| format!(" with the tags {}", stream.placement.tags.join(" and ")));
    cluster.into_iter().chain(tags).collect()
}

/// All that answer in time, or as many as are enough.
async fn ask(client: &Client, enough: impl Fn(&[Node]) -> bool) -> Result<Vec<Node>, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::Broker(format!("asking for nodes: {}", error_chain(error)))
    };
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
    let asked = client.publish_with_reply_and_headers(PING, inbox, HeaderMap::new(), LITTLE.into());
    asked.await.map_err(|error| failed(&error))?;
    let mut nodes: Vec<Node> = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, async {
        while let Some(answer) = answers.next().await {
            let answer = serde_json::from_slice(&answer.payload).unwrap_or_default();
            let Some(node) = Node::of(&answer) else { continue };
            if nodes.iter().all(|other| other.name != node.name) {
                nodes.push(node);
            }
            if enough(&nodes) {
                break;
            }
        }
    })
    .await;
    Ok(nodes)
}
