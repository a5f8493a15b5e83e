//! What is wrong with the messages that are in the streams: a sample of the newest.

use std::collections::BTreeMap;

use async_nats::Client;
use laban_wire::{EventType, FlowReader, Message, REDRIVE, metadata};

use super::{Finding, Kind, Severity};
use crate::{Error, api};

/// What a sample has of one event type.
#[derive(Default)]
struct Seen {
    all: usize,
    unversioned: Vec<u64>,
    untraced: Vec<u64>,
}

/// Looks at the newest messages of each home stream: do they say their version, and the trace that they belong to?
///
/// # Errors
/// When the broker does not answer in full.
pub async fn sample(client: &Client, reader: &FlowReader, newest: u64) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for info in api::streams(client).await? {
        let Some(service) = info.config.metadata.get(metadata::SERVICE) else { continue };
        let stream = &info.config.name;
        let last = info.state.last_seq;
        let from = last.saturating_sub(newest) + 1;
        if from > last {
            continue;
        }
        let mut seen = BTreeMap::<EventType, Seen>::new();
        for stored in reader.any_replica(stream, ">", from).await? {
            // What cannot be read is a dead letter of whoever reacts to it, and seen there.
            if let Ok(message) = Message::try_from(stored) {
                note(&mut seen, &message);
            }
        }
        for (event, seen) in &seen {
            found.extend(findings(service, stream, event, seen));
        }
    }
    super::sort(&mut found);
    Ok(found)
}

fn note(seen: &mut BTreeMap<EventType, Seen>, message: &Message) {
    let event = &message.subject.event_type;
    // An operator writes it, outside of any trace.
    if event.event() == REDRIVE {
        return;
    }
    let seen = seen.entry(event.clone()).or_default();
    seen.all += 1;
    if message.meta.version.is_none() && !event.is_system() {
        seen.unversioned.push(message.seq);
    }
    if message.trace.is_none() {
        seen.untraced.push(message.seq);
    }
}

fn findings(service: &str, stream: &str, event: &EventType, seen: &Seen) -> Vec<Finding> {
    let finding = |kind, seqs: &[u64], what: &str, fix: &str| {
        let newest = seqs.last()?;
        Some(Finding {
            kind,
            severity: Severity::Warning,
            subject: event.to_string(),
            services: vec![service.to_owned()],
            what: format!(
                "{} of the {} newest messages of {event} in stream {stream} {what}, the last of them at {newest}",
                seqs.len(),
                seen.all
            ),
            fix: fix.to_owned(),
            details: Vec::new(),
        })
    };
    let unversioned = finding(
        Kind::UnversionedEvent,
        &seen.unversioned,
        "say no version",
        "write `v=` into the `Laban` header: without it a reader takes an event for the newest version that it knows",
    );
    let untraced = finding(
        Kind::UntracedMessage,
        &seen.untraced,
        "have no `traceparent`",
        "pass the trace context on in `traceparent`: without it the trace breaks there",
    );
    unversioned.into_iter().chain(untraced).collect()
}
