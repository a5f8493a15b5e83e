//! What is wrong with the messages that are in the streams: a sample of the newest.

use std::collections::BTreeMap;

use async_nats::Client;
use laban_wire::{DISCARDED, EventType, FlowReader, Message, REDRIVE, metadata};

use super::{Finding, Kind, Severity};
use crate::{Error, api};

/// What a sample has of one event type.
#[derive(Default)]
struct Seen {
    all: usize,
    unversioned: Lacking,
    untraced: Lacking,
}

/// Messages that lack something: how many, and the newest of them.
#[derive(Default)]
struct Lacking {
    count: usize,
    newest: u64,
}

impl Lacking {
    fn add(&mut self, seq: u64) {
        self.count += 1;
        self.newest = self.newest.max(seq);
    }
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
        found.extend(seen.iter().filter_map(|(event, seen)| unversioned(service, stream, event, seen)));
        found.extend(untraced(service, stream, &seen));
    }
    super::sort(&mut found);
    Ok(found)
}

fn note(seen: &mut BTreeMap<EventType, Seen>, message: &Message) {
    let event = &message.subject.event_type;
    // An operator writes it, outside of any trace.
    if matches!(event.event(), REDRIVE | DISCARDED) {
        return;
    }
    let seen = seen.entry(event.clone()).or_default();
    seen.all += 1;
    if message.meta.version.is_none() && !event.is_system() {
        seen.unversioned.add(message.seq);
    }
    if message.trace.is_none() {
        seen.untraced.add(message.seq);
    }
}

/// What `lacking` of `all` lack, in words.
fn among(lacking: &Lacking, all: usize, of: &str) -> String {
    format!("{} of the {all} newest of {of}, the last of them at {}", lacking.count, lacking.newest)
}

fn unversioned(service: &str, stream: &str, event: &EventType, seen: &Seen) -> Option<Finding> {
    (seen.unversioned.count > 0).then(|| Finding {
        kind: Kind::UnversionedEvent,
        severity: Severity::Warning,
        subject: event.to_string(),
        services: vec![service.to_owned()],
        what: format!("events in stream {stream} do not say their version"),
        fix: "write `v=` into the `Laban` header: without it a reader takes an event for the newest version that it knows"
            .to_owned(),
        details: vec![among(&seen.unversioned, seen.all, event.as_str())],
    })
}

/// One for the whole service: who does not pass the trace on, does so nowhere.
fn untraced(service: &str, stream: &str, seen: &BTreeMap<EventType, Seen>) -> Option<Finding> {
    let lacking = seen.iter().filter(|(_, seen)| seen.untraced.count > 0);
    let details: Vec<_> =
        lacking.map(|(event, seen)| among(&seen.untraced, seen.all, event.as_str())).collect();
    (!details.is_empty()).then(|| Finding {
        kind: Kind::UntracedMessage,
        severity: Severity::Warning,
        subject: service.to_owned(),
        services: vec![service.to_owned()],
        what: format!("messages in stream {stream} have no `traceparent`"),
        fix: "pass the trace context on in `traceparent`: without it the trace breaks there".to_owned(),
        details,
    })
}
