use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use time::OffsetDateTime;

use crate::{BAGGAGE, EventId, HEADER, Meta, Subject, TRACEPARENT, TraceParent};

/// A message as a stream holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The stream.
    pub stream: Arc<str>,
    /// Its sequence in the stream.
    pub seq: u64,
    /// The broker's timestamp.
    pub at: OffsetDateTime,
    /// Where it was published.
    pub subject: String,
    /// Its headers, without those that the broker adds when it hands the message out.
    pub headers: HeaderMap,
    /// What is wrong with its header block, if a client library would refuse it: `headers` has what could be read.
    pub malformed: Option<String>,
    /// Its body.
    pub payload: Bytes,
}

/// A stored message, understood: an event or a system record.
#[derive(Clone, Debug)]
pub struct Message {
    /// The stream that holds it.
    pub stream: Arc<str>,
    /// Its sequence in the stream.
    pub seq: u64,
    /// The broker's timestamp.
    pub at: OffsetDateTime,
    /// Event type and flow.
    pub subject: Subject,
    /// What it says about itself.
    pub meta: Meta,
    /// The span that published it.
    pub trace: Option<TraceParent>,
    /// Its body: JSON, unless it came from elsewhere.
    pub payload: Bytes,
}

impl TryFrom<Stored> for Message {
    type Error = InvalidMessage;

    fn try_from(stored: Stored) -> Result<Self, InvalidMessage> {
        if let Some(reason) = stored.malformed {
            return Err(InvalidMessage::HeaderBlock { reason });
        }
        let Stored { stream, seq, at, subject, headers, payload, .. } = stored;
        Self::read(stream, seq, at, subject.parse()?, &headers, payload)
    }
}

impl Message {
    /// Reads a message from its parts, which are those of [`Stored`].
    ///
    /// # Errors
    /// When its [`HEADER`] cannot be read.
    pub fn read(
        stream: Arc<str>,
        seq: u64,
        at: OffsetDateTime,
        subject: Subject,
        headers: &HeaderMap,
        payload: Bytes,
    ) -> Result<Self, InvalidMessage> {
        Ok(Self {
            subject,
            meta: Meta::of(headers, &stream, seq)?,
            trace: trace_of(headers),
            stream,
            seq,
            at,
            payload,
        })
    }
}

impl Meta {
    /// Reads a stored message's own account of itself, liberally: the [`HEADER`]; else the CloudEvents 1.0 attributes in
    /// `ce-*` headers (NATS protocol binding, binary mode); else nothing but where it is stored.
    ///
    /// # Errors
    /// When there is a [`HEADER`] and it cannot be read.
    pub fn of(headers: &HeaderMap, stream: &str, seq: u64) -> Result<Self, InvalidMessage> {
        if let Some(own) = header(headers, HEADER) {
            return own.parse();
        }
        let id = match header(headers, "ce-id") {
            Some(id) => EventId::foreign(header(headers, "ce-source").unwrap_or_default(), id),
            None => EventId::of_stored(stream, seq),
        };
        Ok(Self { id, version: None, reaction: None })
    }
}

/// The span that published the message: `traceparent`, or the CloudEvents extension of that name.
/// A broken one is read as none, as the specification asks.
fn trace_of(headers: &HeaderMap) -> Option<TraceParent> {
    header(headers, TRACEPARENT).or_else(|| header(headers, "ce-traceparent"))?.parse().ok()
}

/// A header's value whatever the case of its name: other clients write `Ce-Id` or `Traceparent`. There are a handful of
/// headers, so looking at each is cheaper than the map's hashing.
fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    debug_assert_ne!(name, BAGGAGE, "baggage is read by the propagator");
    let mut alike = None;
    for (found, values) in headers.iter() {
        let found: &str = found.as_ref();
        if found.eq_ignore_ascii_case(name) {
            alike = values.first();
            if found == name {
                break;
            }
        }
    }
    alike.map(|value| value.as_str())
}

/// A message that is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMessage {
    /// Its subject names no event or flow.
    #[error("subject `{subject}`: {reason}")]
    Subject {
        /// The subject found.
        subject: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Its header block is not one. The broker stores what it is given; client libraries drop the connection over it.
    #[error("header block: {reason}")]
    HeaderBlock {
        /// What is wrong with it.
        reason: String,
    },
    /// A field of its [`HEADER`] cannot be read.
    #[error("header `{HEADER}`, field `{field}`: {reason}")]
    Header {
        /// The field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(headers: &[(&str, &str)]) -> Stored {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        Stored {
            stream: "ORDER".into(),
            seq: 7,
            at: OffsetDateTime::UNIX_EPOCH,
            subject: "order.placed.4711".into(),
            headers: map,
            malformed: None,
            payload: Bytes::from_static(b"{}"),
        }
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_body_alone_is_an_event() {
        let message = Message::try_from(stored(&[])).unwrap();
        assert_eq!(message.meta.id, EventId::of_stored("ORDER", 7));
        assert_eq!((message.meta.version, message.trace), (None, None));
    }

    #[test]
    fn cloud_events_headers_are_read_in_any_case() {
        let id = "0199f3c2-0000-7000-8000-000000000001";
        for names in [["ce-id", "ce-source", "ce-traceparent"], ["Ce-Id", "CE-SOURCE", "Traceparent"]] {
            let headers = [(names[0], id), (names[1], "/shop"), (names[2], TRACE)];
            let message = Message::try_from(stored(&headers)).unwrap();
            assert_eq!(message.meta.id.to_string(), id);
            assert_eq!(message.trace, TRACE.parse().ok());
        }
    }

    #[test]
    fn a_broken_header_of_ours_is_an_error_and_a_broken_trace_is_not() {
        for name in [HEADER, "laban", "LABAN"] {
            let message = Message::try_from(stored(&[(name, "id=1")]));
            assert!(matches!(message, Err(InvalidMessage::Header { .. })), "{name}");
        }
        assert_eq!(Message::try_from(stored(&[(TRACEPARENT, "x")])).unwrap().trace, None);
    }
}
