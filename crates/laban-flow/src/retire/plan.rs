use std::collections::BTreeSet;

use async_nats::Client;
use async_nats::jetstream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{FlowReader, ServiceName, Timer, error_chain, metadata};
use serde::Serialize;

use super::contract::registered;
use super::{Registered, Target};
use crate::api::{self, ConsumerInfo, StreamInfo};
use crate::dead::{Letters, Query, Standing};
use crate::mesh::AT_ONCE;
use crate::{Error, Mesh};

/// All that a service, or one handler of it, has on the broker, and what hangs on it.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Who leaves.
    #[serde(flatten)]
    pub target: Target,
    /// Its durable consumers, ordered by stream and name; but those on its timer stream, which go with that.
    pub consumers: Vec<Position>,
    /// Its timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timers: Option<Timers>,
    /// What is registered of the service.
    #[serde(skip)]
    pub registered: Option<Registered>,
    /// Its home stream; nothing where one handler leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<Home>,
    /// Who of the others has a consumer on its home stream.
    pub read_by: Vec<Reader>,
    /// Its dead letters that are not settled.
    pub open_dead_letters: u64,
    /// The services that have a home stream there.
    #[serde(skip)]
    pub services: Vec<String>,
}

/// A durable consumer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The stream that it is on.
    pub stream: String,
    /// Its name.
    pub consumer: String,
    /// What it is for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// Events that wait to be delivered.
    pub pending: u64,
    /// Events that were delivered and are not settled.
    pub unacknowledged: u64,
    /// Whether somebody asks for events there.
    pub is_asked: bool,
}

/// What a consumer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "is")]
#[non_exhaustive]
pub enum Purpose {
    /// A handler's reaction to an event.
    Reaction {
        /// The handler.
        handler: String,
        /// The event.
        event: String,
    },
    /// What a handler's deadline waits for.
    Awaited {
        /// The handler.
        handler: String,
        /// What it filters.
        filter: String,
    },
    /// Dead letters that are handed back.
    Redrives,
}

/// The timers of deadlines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timers {
    /// The timer stream.
    pub stream: String,
    /// How many are in it, waiting or due.
    pub timers: u64,
    /// The subjects to be purged, where one handler leaves; otherwise the stream goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

/// A home stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Home {
    /// Its name.
    pub stream: String,
    /// Records in it.
    pub records: u64,
    /// Their size.
    pub bytes: u64,
}

/// Another who reads a home stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Reader {
    /// The service; nothing for a consumer that is none's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The consumer.
    pub consumer: String,
}

impl Plan {
    /// Asks the broker for all of it. Nothing is changed.
    ///
    /// # Errors
    /// When the broker does not answer in full: what is not known of would stay.
    pub async fn make(client: &Client, reader: &FlowReader, target: &Target) -> Result<Self, Error> {
        let mesh = Mesh::discover(client).await?;
        let streams = api::streams(client).await?;
        let (mut consumers, mut read_by) = (Vec::new(), BTreeSet::new());
        let (mut timers, mut home) = (None, None);
        let homes = streams.iter().filter(|info| info.config.metadata.contains_key(metadata::SERVICE));
        let listed: Vec<(&StreamInfo, Vec<ConsumerInfo>)> = stream::iter(homes)
            .map(async |info| Ok::<_, Error>((info, api::consumers(client, &info.config.name).await?)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (info, on_it) in listed {
            let name = &info.config.name;
            let is_own = says(info, metadata::SERVICE, &target.service);
            if is_own && target.is_whole() {
                let api::StreamState { messages, bytes, .. } = info.state;
                home = Some(Home { stream: name.clone(), records: messages, bytes });
            }
            for one in on_it {
                match purpose(&one, &target.service) {
                    Some(purpose) if purpose.is_meant(target) => consumers.push(Position {
                        stream: name.clone(),
                        consumer: one.name,
                        purpose,
                        pending: one.num_pending,
                        unacknowledged: one.num_ack_pending,
                        is_asked: one.num_waiting > 0,
                    }),
                    None if is_own && target.is_whole() => {
                        read_by.insert(Reader { service: reading(&one), consumer: one.name });
                    }
                    _ => {}
                }
            }
        }
        if let Some(info) = streams.iter().find(|info| says(info, metadata::TIMERS, &target.service)) {
            timers = timers_of(client, info, target).await?;
        }
        consumers.sort();
        Ok(Self {
            consumers,
            timers,
            registered: registered(reader, target).await?,
            home,
            read_by: read_by.into_iter().collect(),
            open_dead_letters: open_dead_letters(client, reader, &mesh, target).await?,
            services: mesh.homes.into_iter().map(|home| home.service).collect(),
            target: target.clone(),
        })
    }

    /// Whether a contract is registered that goes with it.
    pub fn has_contract(&self) -> bool {
        self.target.is_whole() && self.registered.as_ref().is_some_and(|one| one.contract.is_some())
    }

    /// Whether what is to leave is part of the contract that is registered: the next start would make it anew.
    pub fn is_declared(&self) -> bool {
        !self.target.is_whole() && self.registered.as_ref().is_some_and(|one| one.declares(&self.target))
    }

    /// Whether the broker knows of the service at all: it is there, or has been.
    pub fn is_known(&self) -> bool {
        self.registered.is_some()
            || !self.consumers.is_empty()
            || self.services.iter().any(|name| name == self.target.service.as_str())
    }

    /// Whether nothing is left but the history.
    pub fn is_done(&self) -> bool {
        self.consumers.is_empty() && self.timers.is_none() && !self.has_contract()
    }

    /// Events that wait for what is to leave, and those that are delivered to it and not settled.
    pub fn waiting(&self) -> u64 {
        let reactions = self.consumers.iter().filter(|one| matches!(one.purpose, Purpose::Reaction { .. }));
        reactions.map(|one| one.pending + one.unacknowledged).sum()
    }
}

impl Purpose {
    fn is_meant(&self, target: &Target) -> bool {
        match self {
            Self::Reaction { handler, event } => target.means(handler, event),
            Self::Awaited { handler, filter } => target.means(handler, filter.trim_end_matches(".*")),
            Self::Redrives => target.is_whole(),
        }
    }
}

fn says(info: &StreamInfo, key: &str, service: &ServiceName) -> bool {
    info.config.metadata.get(key).is_some_and(|name| name == service.as_str())
}

/// What a consumer is to this service; nothing when it is another's.
fn purpose(info: &ConsumerInfo, service: &ServiceName) -> Option<Purpose> {
    let said = |key: &str| info.config.metadata.get(key).map_or("", String::as_str);
    let service = service.as_str();
    if said(metadata::SERVICE) == service {
        let (handler, event) = (said(metadata::HANDLER).to_owned(), said(metadata::EVENT).to_owned());
        return Some(Purpose::Reaction { handler, event });
    }
    if said(metadata::REDRIVES) == service {
        return Some(Purpose::Redrives);
    }
    let (of, handler) = said(metadata::CANCELS).split_once('/')?;
    let filter = info.config.filter_subject.clone();
    (of == service).then(|| Purpose::Awaited { handler: handler.to_owned(), filter })
}

/// Whose consumer it is.
fn reading(info: &ConsumerInfo) -> Option<String> {
    let said = &info.config.metadata;
    let cancels = || Some(said.get(metadata::CANCELS)?.split_once('/')?.0.to_owned());
    said.get(metadata::SERVICE).cloned().or_else(cancels)
}

async fn timers_of(client: &Client, info: &StreamInfo, target: &Target) -> Result<Option<Timers>, Error> {
    let stream = info.config.name.clone();
    // A handler that only reacts to less than before keeps its other timers.
    let (Some(handler), None) = (&target.handler, &target.event) else {
        let whole = Timers { stream, timers: info.state.messages, subjects: Vec::new() };
        return Ok(target.is_whole().then_some(whole));
    };
    let service = &target.service;
    let subjects = vec![Timer::all_of(service, handler), Timer::all_due_of(service, handler)];
    let failed = |reason: String| Error::Broker { what: format!("the timers of stream {stream}"), reason };
    let mut timers = 0;
    for subject in &subjects {
        let found = jetstream::new(client.clone()).get_stream_no_info(&stream).await;
        let found = found.map_err(|error| failed(error_chain(&error)))?;
        let counts = found.info_with_subjects(subject).await;
        let counts: Vec<(String, usize)> = counts
            .map_err(|error| failed(error_chain(&error)))?
            .try_collect()
            .await
            .map_err(|error| failed(error_chain(&error)))?;
        timers += counts.iter().map(|(_, count)| *count as u64).sum::<u64>();
    }
    Ok((timers > 0).then_some(Timers { stream, timers, subjects }))
}

async fn open_dead_letters(
    client: &Client,
    reader: &FlowReader,
    mesh: &Mesh,
    target: &Target,
) -> Result<u64, Error> {
    let query = Query {
        states: vec![Standing::Open, Standing::FailedAgain, Standing::Redriven],
        service: Some(target.service.to_string()),
        handler: target.handler.clone(),
        event: target.event.clone(),
        ..Query::default()
    };
    let mut letters = Letters::find(client, reader.clone(), mesh, query).await?;
    let mut count = 0;
    while letters.next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}
