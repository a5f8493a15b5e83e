//! The streams of a mesh: whose they are, what they hold, where their replicas are.
//!
//! ```no_run
//! use laban_flow::streams::Stream;
//!
//! # async fn show() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//! for stream in Stream::all(&client).await? {
//!     let full = stream.held(std::time::SystemTime::now().into()).when_full();
//!     println!("{}: {} messages, {full:?}", stream.name, stream.messages);
//! }
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::time::Duration;

use async_nats::Client;
use laban_wire::{contract, metadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::Error;
use crate::api::{self, ClusterInfo};
use crate::sizing::Held;

/// What a stream is to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The one stream that a service writes.
    Home,
    /// Where a service's deadlines wait.
    Timers,
    /// The bucket of contracts, which all services share.
    Contracts,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Home => "home",
            Self::Timers => "timers",
            Self::Contracts => "contracts",
        })
    }
}

/// A stream of the mesh, as the broker told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whose it is; nobody's alone, for the bucket of contracts.
    pub service: Option<String>,
    /// How many messages it holds.
    pub messages: u64,
    /// How large they are, in bytes.
    pub bytes: u64,
    /// How many distinct subjects they have.
    pub subjects: u64,
    /// When its first message was stored; nothing for an empty one.
    pub first_at: Option<OffsetDateTime>,
    /// How long it keeps messages; nothing for ever.
    pub max_age: Option<Duration>,
    /// `file` or `memory`.
    pub storage: String,
    /// Which nodes may have it.
    pub placement: Placement,
    /// How many replicas it is to have.
    pub replicas: usize,
    /// The node that leads it; nothing without one, or where the broker stands alone.
    pub leader: Option<String>,
    /// The other nodes that have a replica.
    pub peers: Vec<Peer>,
    /// The cluster that it is in; nothing where the broker stands alone.
    pub cluster: Option<String>,
    config: Value,
}

/// What a stream asks of the nodes that have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The cluster that they are in, if that is said.
    pub cluster: Option<String>,
    /// Tags that they have.
    pub tags: Vec<String>,
}

/// A node that has a replica, and does not lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The node's name.
    pub name: String,
    /// Whether it has all that the leader has.
    pub current: bool,
    /// Whether it is away.
    pub offline: bool,
    /// How many operations it is behind.
    pub lag: u64,
}

impl Peer {
    fn is_there(&self) -> bool {
        self.current && !self.offline
    }
}

#[derive(Deserialize)]
struct Info {
    config: Value,
    #[serde(default)]
    state: State,
    cluster: Option<ClusterInfo>,
}

#[derive(Default, Deserialize)]
struct State {
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    num_subjects: u64,
    #[serde(default, with = "time::serde::rfc3339::option")]
    first_ts: Option<OffsetDateTime>,
}

impl Stream {
    /// All streams of the mesh, ordered by service: its home, then its timers; the bucket of contracts comes last.
    ///
    /// # Errors
    /// When the broker does not answer, or knows of streams that do not.
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let infos: Vec<Info> = api::streams_as(client).await?;
        let mut streams: Vec<Self> = infos.into_iter().filter_map(Self::of).collect();
        streams.sort_by(|a, b| {
            let place = |stream: &Self| (stream.service.is_none(), stream.service.clone(), stream.kind);
            (place(a), &a.name).cmp(&(place(b), &b.name))
        });
        Ok(streams)
    }

    /// The same stream as it is now.
    ///
    /// # Errors
    /// When the broker does not answer, or has no such stream, or it is not the mesh's any more.
    pub async fn refreshed(&self, client: &Client) -> Result<Self, Error> {
        let info: Info = api::stream(client, &self.name).await?;
        Self::of(info).ok_or_else(|| Error::Broker {
            what: format!("stream {}", self.name),
            reason: "it is no stream of a service any more".to_owned(),
        })
    }

    /// Nothing for a stream that is not the mesh's.
    fn of(info: Info) -> Option<Self> {
        let Info { config, state, cluster } = info;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let said = |key: &str| text(&config["metadata"][key]);
        let name = text(&config["name"])?;
        let (kind, service) = match (said(metadata::SERVICE), said(metadata::TIMERS)) {
            (Some(service), _) => (Kind::Home, Some(service)),
            (None, Some(service)) => (Kind::Timers, Some(service)),
            _ if name == contract::STREAM => (Kind::Contracts, None),
            _ => return None,
        };
        let placement = &config["placement"];
        let tags = placement["tags"].as_array().into_iter().flatten().filter_map(text).collect();
        let max_age = config["max_age"].as_u64().filter(|nanos| *nanos > 0).map(Duration::from_nanos);
        let is_in = cluster.as_ref().map(|cluster| cluster.name.clone());
        let ClusterInfo { leader, replicas, .. } = cluster.unwrap_or_default();
        let peers = replicas.into_iter().map(|peer| Peer {
            name: peer.name,
            current: peer.current,
            offline: peer.offline,
            lag: peer.lag,
        });
        Some(Self {
            kind,
            service,
            messages: state.messages,
            bytes: state.bytes,
            subjects: state.num_subjects,
            // The broker has a time for an empty stream, too.
            first_at: state.first_ts.filter(|_| state.messages > 0),
            max_age,
            storage: text(&config["storage"]).unwrap_or_default(),
            placement: Placement {
                cluster: text(&placement["cluster"]).filter(|name| !name.is_empty()),
                tags,
            },
            replicas: config["num_replicas"].as_u64().map_or(1, |count| count as usize),
            leader: Some(leader).filter(|leader| !leader.is_empty()),
            peers: peers.collect(),
            cluster: is_in,
            name,
            config,
        })
    }

    /// How many of its replicas are away, or behind.
    #[must_use]
    pub fn missing(&self) -> usize {
        if self.cluster.is_none() {
            return 0;
        }
        let others = self.peers.iter().filter(|peer| peer.is_there()).count();
        self.replicas.saturating_sub(usize::from(self.leader.is_some()) + others)
    }

    /// Whether it has as many replicas as it is to have, no more, and all have what the leader has.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.missing() == 0 && (self.cluster.is_none() || self.peers.len() < self.replicas)
    }

    /// What it holds, for [reckoning](crate::sizing) what it costs.
    #[must_use]
    pub fn held(&self, now: OffsetDateTime) -> Held {
        let age = self.first_at.map_or(Duration::ZERO, |first| (now - first).try_into().unwrap_or_default());
        Held {
            messages: self.messages,
            bytes: self.bytes,
            subjects: self.subjects,
            age,
            max_age: self.max_age,
        }
    }

    /// Its configuration as the broker told it, with another number of replicas: what `$JS.API.STREAM.UPDATE.<name>` takes.
    /// Nothing else is changed, nor dropped, whatever a newer broker may have in it.
    #[must_use]
    pub fn with_replicas(&self, replicas: usize) -> Value {
        let mut config = self.config.clone();
        config["num_replicas"] = replicas.into();
        config
    }

    /// The consumers on it that are not everywhere where it is: those that were given a number of replicas of their own, which
    /// is theirs, are left out.
    ///
    /// # Errors
    /// When the broker does not answer, or knows of consumers that do not.
    pub async fn consumers_behind(&self, client: &Client) -> Result<Vec<String>, Error> {
        let consumers = api::consumers(client, &self.name).await?;
        let behind = consumers.into_iter().filter(|consumer| {
            consumer.config.num_replicas == 0
                && consumer.cluster.as_ref().is_some_and(|cluster| {
                    let there = cluster.replicas.iter().filter(|peer| peer.current && !peer.offline).count();
                    cluster.leader.is_empty() || there + 1 != self.replicas
                })
        });
        Ok(behind.map(|consumer| consumer.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(info: Value) -> Option<Stream> {
        Stream::of(serde_json::from_value(info).unwrap())
    }

    fn home(replicas: &Value) -> Stream {
        let info = json!({
            "config": {
                "name": "PAYMENT", "num_replicas": 3, "max_age": 86_400_000_000_000_u64, "storage": "file",
                "metadata": {"laban.service": "payment"}, "placement": {"cluster": "eu", "tags": ["ssd"]},
                "of_a_later_release": {"kept": [1, 2.5, null]},
            },
            "state": {
                "messages": 10, "bytes": 6000, "num_subjects": 9, "first_ts": "2026-11-27T10:00:00Z", "first_seq": 1,
            },
            "cluster": {"name": "eu-1", "leader": "n1", "replicas": replicas},
        });
        stream(info).unwrap()
    }

    #[test]
    fn what_the_broker_told_is_read() {
        let stream = home(&json!([]));
        assert_eq!((stream.kind, stream.service.as_deref()), (Kind::Home, Some("payment")));
        let expected = Placement { cluster: Some("eu".to_owned()), tags: vec!["ssd".to_owned()] };
        assert_eq!((stream.placement.clone(), stream.cluster.as_deref()), (expected, Some("eu-1")));
        let now = stream.first_at.unwrap() + Duration::from_secs(60);
        let held = stream.held(now);
        assert_eq!((held.messages, held.bytes, held.subjects), (10, 6000, 9));
        assert_eq!((held.age, held.max_age), (Duration::from_secs(60), Some(Duration::from_secs(86_400))));
        // A clock that is behind the broker's.
        assert_eq!(stream.held(now - Duration::from_secs(3600)).age, Duration::ZERO);
    }

    #[test]
    fn replicas_are_there_or_missing() {
        let peer =
            |current: bool, offline: bool| json!({"name": "n2", "current": current, "offline": offline});
        for (replicas, missing, is_current) in [
            (json!([]), 2, false),
            (json!([peer(true, false), peer(false, false)]), 1, false),
            (json!([peer(true, false), peer(true, true)]), 1, false),
            (json!([peer(true, false), peer(true, false)]), 0, true),
            // One is on its way out.
            (json!([peer(true, false), peer(true, false), peer(true, false)]), 0, false),
        ] {
            let stream = home(&replicas);
            assert_eq!((stream.missing(), stream.is_current()), (missing, is_current), "{replicas}");
        }
    }

    #[test]
    fn nothing_but_the_replicas_is_changed() {
        let stream = home(&json!([]));
        let mut expected = stream.config.clone();
        assert_eq!(expected["of_a_later_release"]["kept"], json!([1, 2.5, null]));
        expected["num_replicas"] = json!(5);
        assert_eq!(stream.with_replicas(5), expected);
    }

    #[test]
    fn streams_of_others_are_left_out() {
        assert_eq!(stream(json!({"config": {"name": "OTHER"}})), None);
        let bucket = stream(json!({"config": {"name": "KV_laban_contracts", "num_replicas": 1}})).unwrap();
        assert_eq!((bucket.kind, bucket.is_current()), (Kind::Contracts, true));
    }
}
