//! Streams and consumers, as the broker lists them.

use async_nats::jetstream::{consumer, stream};
use futures_util::{StreamExt as _, stream as futures};
use laban_wire::{contract, metadata};

use super::asking::{Asking, Listed, No};
use crate::mesh::AT_ONCE;

/// A stream, and what it is to the mesh.
#[derive(Clone, Debug)]
pub(in super::super) struct Stream {
    pub(in super::super) role: Role,
    pub(in super::super) info: stream::Info,
}

/// What a stream is to the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// The home stream of a service.
    Home(String),
    /// The timer stream of a service.
    Timers(String),
    /// The bucket of contracts.
    Contracts,
    /// None of its own.
    Foreign,
}

/// What the broker knows of, and does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Silent {
    Stream(String),
    /// Of a stream.
    Consumer(String, String),
}

/// A consumer, looked at twice.
#[derive(Clone, Debug)]
pub(in super::super) struct Watched {
    pub(in super::super) first: consumer::Info,
    /// Nothing when it was not there any more.
    pub(in super::super) then: Option<consumer::Info>,
}

/// The answer about one stream.
pub(super) struct Consumers {
    pub(super) stream: String,
    pub(super) answer: Result<Listed<consumer::Info>, No>,
}

impl Role {
    fn of(info: &stream::Info) -> Self {
        let said = |key: &str| info.config.metadata.get(key).cloned();
        match (said(metadata::SERVICE), said(metadata::TIMERS)) {
            (Some(service), _) => Self::Home(service),
            (None, Some(service)) => Self::Timers(service),
            (None, None) if info.config.name == contract::STREAM => Self::Contracts,
            (None, None) => Self::Foreign,
        }
    }

    pub(in super::super) fn service(&self) -> Option<&str> {
        match self {
            Self::Home(service) | Self::Timers(service) => Some(service),
            Self::Contracts | Self::Foreign => None,
        }
    }
}

impl Stream {
    pub(in super::super) fn name(&self) -> &str {
        &self.info.config.name
    }

    /// Whether it is of the mesh.
    pub(in super::super) fn is_ours(&self) -> bool {
        self.role != Role::Foreign
    }
}

impl Watched {
    pub(super) fn of(first: consumer::Info) -> Self {
        Self { first, then: None }
    }

    fn said(&self, key: &str) -> Option<&str> {
        self.first.config.metadata.get(key).map(String::as_str)
    }

    /// The service that pulls from it.
    pub(in super::super) fn service(&self) -> Option<&str> {
        let of_handler = self.said(metadata::CANCELS).and_then(|both| both.split('/').next());
        self.said(metadata::SERVICE)
            .or(of_handler)
            .or_else(|| self.said(metadata::DUE))
            .or_else(|| self.said(metadata::REDRIVES))
    }

    /// The handler and its event, where it is one's position.
    pub(in super::super) fn reaction(&self) -> Option<(&str, &str)> {
        self.said(metadata::SERVICE)?;
        Some((self.said(metadata::HANDLER)?, self.said(metadata::EVENT)?))
    }

    /// The handler whose deadline it stops.
    pub(in super::super) fn cancels(&self) -> Option<&str> {
        self.said(metadata::CANCELS)?.split('/').nth(1)
    }

    pub(in super::super) fn is_due(&self) -> bool {
        self.said(metadata::DUE).is_some()
    }

    pub(in super::super) fn is_at_least_once(&self) -> bool {
        self.said(metadata::AT_LEAST_ONCE).is_some()
    }

    /// How long after its event a deadline passes.
    pub(in super::super) fn within_ms(&self) -> Option<u64> {
        self.said(metadata::WITHIN_MS)?.parse().ok()
    }

    /// `PAYMENT/shipping_dispatch_payment_captured`.
    pub(in super::super) fn subject(&self) -> String {
        format!("{}/{}", self.first.stream_name, self.first.name)
    }

    /// As it was last seen.
    pub(in super::super) fn last(&self) -> &consumer::Info {
        self.then.as_ref().unwrap_or(&self.first)
    }

    /// Whether somebody asked for its events, either time.
    pub(in super::super) fn is_asked_for(&self) -> bool {
        self.first.num_waiting > 0 || self.last().num_waiting > 0
    }

    /// Whether anything was delivered or acknowledged between the two looks.
    pub(in super::super) fn moves(&self) -> bool {
        let (first, last) = (&self.first, self.last());
        first.delivered.consumer_sequence != last.delivered.consumer_sequence
            || first.ack_floor.consumer_sequence != last.ack_floor.consumer_sequence
            || first.num_ack_pending != last.num_ack_pending
    }
}

/// All streams of the account, and those that do not answer.
pub(super) async fn list(asking: &Asking<'_>) -> Result<(Vec<Stream>, Vec<Silent>), No> {
    let listed: Listed<stream::Info> = asking.list("$JS.API.STREAM.LIST").await?;
    let streams = listed.items.into_iter().map(|info| Stream { role: Role::of(&info), info });
    Ok((streams.collect(), listed.silent.into_iter().map(Silent::Stream).collect()))
}

/// All consumers of the services' streams.
pub(super) async fn consumers(asking: &Asking<'_>, streams: &[Stream]) -> Vec<Consumers> {
    let own = streams.iter().filter(|stream| stream.role.service().is_some());
    futures::iter(own)
        .map(async |stream| Consumers {
            stream: stream.name().to_owned(),
            answer: asking.list(&format!("$JS.API.CONSUMER.LIST.{}", stream.name())).await,
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}
