//! What the broker knows of the service under test: whether it is there, and whether it has anything left to do.

use async_nats::jetstream::consumer;
use futures_util::TryStreamExt as _;
use laban_wire::case::CaseWork;
use laban_wire::contract::{self, Contract};
use laban_wire::{EventType, ServiceName, error_chain, home_stream, metadata};

use super::broker::{Desk, Given};
use crate::Error;

/// The consumers of a service, as they were at a moment.
#[derive(Debug)]
pub(super) struct Consumers(Vec<consumer::Info>);

impl Consumers {
    pub(super) async fn of(service: &ServiceName, desk: &Desk) -> Result<Self, Error> {
        let failed = |why: String| Error::Broker { what: format!("list the consumers of {service}"), why };
        let streams = desk.context.stream_names().try_collect::<Vec<String>>().await;
        let mut own = Vec::new();
        for stream in streams.map_err(|e| failed(error_chain(&e)))? {
            let stream =
                desk.context.get_stream_no_info(&stream).await.map_err(|e| failed(error_chain(&e)))?;
            let all = stream.consumers().try_collect::<Vec<_>>().await;
            own.extend(
                all.map_err(|e| failed(error_chain(&e)))?.into_iter().filter(|info| is_of(service, info)),
            );
        }
        Ok(Self(own))
    }

    fn has(&self, stream: &str, name: &str) -> bool {
        self.0.iter().any(|info| info.stream_name == stream && info.name == name)
    }

    /// Whether the handler reacts at a time that no consumer tells: it has a deadline.
    pub(super) fn has_deadline(&self, work: &CaseWork) -> bool {
        let says = |info: &consumer::Info, key: &str| info.config.metadata.get(key).cloned();
        self.0.iter().any(|info| {
            says(info, metadata::HANDLER).as_deref() == Some(&work.handler)
                && says(info, metadata::EVENT).as_deref() == Some(work.on.as_str())
                && says(info, metadata::WITHIN_MS).is_some()
        })
    }

    /// The first that has something left to do: to deliver, to have acknowledged, or one of these messages to come to.
    ///
    /// The count of what is to be delivered alone may lag behind what was stored a moment ago.
    pub(super) fn busy(&self, messages: &[Given]) -> Option<String> {
        let busy = |info: &&consumer::Info| {
            let reached = info.delivered.stream_sequence;
            let ahead = messages.iter().any(|message| {
                message.stream == info.stream_name
                    && message.seq > reached
                    && matches(&info.config.filter_subject, &message.subject)
            });
            info.num_pending > 0 || info.num_ack_pending > 0 || ahead
        };
        let info = self.0.iter().find(busy)?;
        Some(format!(
            "consumer {} at stream {} to have nothing to deliver and nothing unacknowledged",
            info.name, info.stream_name
        ))
    }
}

fn is_of(service: &ServiceName, info: &consumer::Info) -> bool {
    let said = &info.config.metadata;
    let is = |key: &str| said.get(key).is_some_and(|value| value == service.as_str());
    let cancels = said.get(metadata::CANCELS).and_then(|who| who.split_once('/'));
    is(metadata::SERVICE)
        || is(metadata::REDRIVES)
        || is(metadata::DUE)
        || cancels.is_some_and(|(who, _)| who == service.as_str())
}

/// `order.placed.*` and the like.
fn matches(filter: &str, subject: &str) -> bool {
    let (filter, subject) = (filter.split('.'), subject.split('.'));
    filter.clone().count() == subject.clone().count()
        && filter.zip(subject).all(|(wanted, found)| wanted == "*" || wanted == found)
}

/// What the service has to have before it is given anything: its stream, and a consumer for each event that it reacts to.
/// Says what is missing.
pub(super) async fn missing(
    service: &ServiceName,
    services: &[ServiceName],
    expected: &[&CaseWork],
    desk: &Desk,
) -> Result<Option<String>, Error> {
    let home = home_stream(service);
    if desk.context.get_stream(&home).await.is_err() {
        return Ok(Some(format!("service {service} to start: it has no stream {home} at this broker")));
    }
    let contract = contract_of(service, desk).await?;
    let reactions: Vec<(&str, &EventType)> = match &contract {
        Some(contract) => {
            let handlers = contract.handlers.iter();
            handlers.flat_map(|one| one.consumes.iter().map(|on| (one.name.as_str(), on))).collect()
        }
        // Nobody has to register one.
        None => expected.iter().map(|work| (work.handler.as_str(), &work.on)).collect(),
    };
    let consumers = Consumers::of(service, desk).await?;
    for (handler, on) in reactions {
        let Some(owner) = services.iter().find(|one| one.as_str() == on.service()) else { continue };
        let stream = home_stream(owner);
        let name = format!("{service}_{handler}_{}_{}", on.service(), on.event());
        if !consumers.has(&stream, &name) {
            return Ok(Some(format!(
                "service {service} to start: it has no consumer {name} at stream {stream}"
            )));
        }
    }
    Ok(None)
}

async fn contract_of(service: &ServiceName, desk: &Desk) -> Result<Option<Contract>, Error> {
    let failed = |why: String| Error::Broker { what: format!("read the contract of {service}"), why };
    match desk.reader.leader(contract::STREAM, &contract::subject_of(service), 1).await {
        Err(e) if e.is_no_stream() => Ok(None),
        Err(e) => Err(failed(error_chain(&e))),
        Ok(found) => Ok(found.last().and_then(|last| serde_json::from_slice(&last.payload).ok())),
    }
}
