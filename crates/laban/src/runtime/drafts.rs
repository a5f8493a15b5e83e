//! Making records: events and system records with their headers.

use std::sync::Arc;

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use laban_wire::{
    DEAD, Dead, EventId, EventType, FlowId, HANDLED, HEADER, Handled, Message, Meta, RETRYING, Reaction,
    Retrying, ServiceName, Stored, Subject,
};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde::Serialize;
use time::OffsetDateTime;

use crate::outcome::Outgoing;
use crate::telemetry::propagation;

const META: HeaderName = HeaderName::from_static(HEADER);

/// A message that is ready to be written. Its headers are made when it is, each time: the client library takes them with
/// it, and nearly all messages are written once.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) subject: Subject,
    pub(crate) meta: Meta,
    /// The span that publishes it.
    trace: Context,
    /// Whether CloudEvents headers are added.
    cloud_events: bool,
    pub(crate) payload: Bytes,
}

impl Draft {
    /// The headers, without those that say how it is to be written.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(META, self.meta.to_header());
        propagation::inject(&self.trace, &mut headers);
        if self.cloud_events {
            let Subject { event_type, flow } = &self.subject;
            headers.insert("ce-specversion", "1.0");
            headers.insert("ce-id", self.meta.id.to_string());
            headers.insert("ce-source", format!("/{}", event_type.service()));
            headers.insert("ce-type", event_type.as_str());
            headers.insert("ce-subject", flow.token());
            headers.insert("content-type", "application/json");
        }
        headers
    }

    /// Whether somebody will see the span that publishes it.
    pub(super) fn is_sampled(&self) -> bool {
        self.trace.span().span_context().is_sampled()
    }

    /// Whether this very message was stored, and not one that says the same: known by the span that published it, so never of
    /// what is not traced.
    pub(crate) fn is(&self, stored: &Stored) -> bool {
        let trace = propagation::trace_parent(&self.trace);
        trace.is_some()
            && Message::try_from(stored.clone())
                .is_ok_and(|message| message.trace == trace && message.meta.id == self.meta.id)
    }

    /// The message as a reader will find it, but for the broker's timestamp.
    pub(crate) fn as_written(&self, stream: &Arc<str>, seq: u64) -> Message {
        Message {
            stream: Arc::clone(stream),
            seq,
            at: OffsetDateTime::now_utc(),
            subject: self.subject.clone(),
            meta: self.meta.clone(),
            trace: propagation::trace_parent(&self.trace),
            payload: self.payload.clone(),
        }
    }

    /// What a broker counts against its limit: body and headers.
    pub(crate) fn size_bytes(&self) -> usize {
        /// Room for the headers that an append adds: batch marks, and a fence on the longest possible flow id.
        const ADDED_HEADERS_BYTES: usize = 1280;
        let headers = self.headers();
        let headers = headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let bytes: usize =
            headers.map(|(name, value)| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 4).sum();
        self.payload.len() + bytes + ADDED_HEADERS_BYTES
    }
}

/// Makes the records of one service.
#[derive(Clone, Debug)]
pub(crate) struct Drafting {
    pub(crate) service: ServiceName,
    /// Whether to add CloudEvents headers to events.
    pub(crate) cloud_events: bool,
}

impl Drafting {
    /// An event. `trace` is the span that publishes it.
    pub(crate) fn event(
        &self,
        event: Outgoing,
        id: EventId,
        reaction: Option<Reaction>,
        trace: &Context,
    ) -> Draft {
        Draft {
            subject: event.subject,
            meta: Meta { id, version: Some(event.version), reaction },
            trace: trace.clone(),
            cloud_events: self.cloud_events,
            payload: event.payload,
        }
    }

    /// The note that a reaction emitted nothing into this flow.
    pub(crate) fn handled(
        &self,
        flow: &FlowId,
        body: &Handled,
        reaction: Reaction,
        trace: &Context,
    ) -> Draft {
        let payload = if body.input.is_some() { json(body) } else { Bytes::new() };
        self.system(HANDLED, flow, payload, reaction, trace)
    }

    /// The note that an attempt failed.
    pub(crate) fn retrying(
        &self,
        flow: &FlowId,
        body: &Retrying,
        reaction: Reaction,
        trace: &Context,
    ) -> Draft {
        self.system(RETRYING, flow, json(body), reaction, trace)
    }

    /// A dead letter. Its input's body is left out when the record would be larger than `limit_bytes`.
    pub(crate) fn dead(
        &self,
        flow: &FlowId,
        mut body: Dead,
        reaction: Reaction,
        trace: &Context,
        limit_bytes: usize,
    ) -> Draft {
        let draft = self.system(DEAD, flow, json(&body), reaction.clone(), trace);
        if draft.size_bytes() <= limit_bytes {
            return draft;
        }
        body.input.payload = None;
        body.input.headers.clear();
        self.system(DEAD, flow, json(&body), reaction, trace)
    }

    fn system(
        &self,
        record: &'static str,
        flow: &FlowId,
        payload: Bytes,
        reaction: Reaction,
        trace: &Context,
    ) -> Draft {
        // A system record is found by cause, handler and attempt; its id follows from them like an event's.
        let name = format!("{}/{record}/{}", reaction.handler, reaction.attempt);
        let id = EventId::derived(reaction.cause, self.service.as_str(), &name, 0);
        Draft {
            subject: Subject::new(EventType::system(&self.service, record), flow.clone()),
            meta: Meta { id, version: None, reaction: Some(reaction) },
            trace: trace.clone(),
            cloud_events: false,
            payload,
        }
    }
}

/// System records are made of plain values; they serialize.
fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body).unwrap_or_default().into()
}

/// The same text for errors that differ only in numbers, ids and quoted values, as a short hash with the reaction's names:
/// what dead letters are grouped by.
pub(crate) fn fingerprint(service: &str, handler: &Arc<str>, error: &str) -> String {
    let mut shape = String::with_capacity(error.len());
    for word in error.split_whitespace() {
        let varies = word.bytes().any(|b| b.is_ascii_digit()) || word.starts_with(['"', '\'', '`']);
        shape.push_str(if varies { "#" } else { word });
        shape.push(' ');
    }
    let name = format!("{service}/{handler}/{shape}");
    let hash = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).simple().to_string();
    hash[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_group_alike_errors() {
        let of = |handler: &str, error: &str| fingerprint("payment", &handler.into(), error);
        assert_eq!(of("charge", "no card `4711` after 3 s"), of("charge", "no card `4712` after 30 s"));
        assert_ne!(of("charge", "no card"), of("charge", "no bank"));
        assert_ne!(of("charge", "no card"), of("refund", "no card"));
    }
}
