use std::sync::Arc;

use laban_wire::{EventId, InvalidMessage, Message, Stored};
use time::OffsetDateTime;

use super::merge::Entry;

/// One record of history: as its stream holds it, and as far as it can be understood.
#[derive(Clone, Debug)]
pub struct Record {
    /// The service whose home stream it is in.
    pub service: Arc<str>,
    /// As its stream holds it.
    pub stored: Stored,
    /// What it says; or why it is no event, so that it is at least seen.
    pub message: Result<Message, InvalidMessage>,
}

impl Record {
    pub(super) fn new(service: Arc<str>, stored: Stored) -> Self {
        let message = match &stored.malformed {
            Some(reason) => Err(InvalidMessage::HeaderBlock { reason: reason.clone() }),
            None => stored.subject.parse().and_then(|subject| {
                let Stored { stream, seq, at, headers, payload, .. } = &stored;
                Message::read(stream.clone(), *seq, *at, subject, headers, payload.clone())
            }),
        };
        Self { service, stored, message }
    }

    /// Whether this is a record of the framework rather than a business event.
    pub fn is_system(&self) -> bool {
        self.stored.subject.split('.').nth(1).is_some_and(Self::is_system_event)
    }

    pub(super) fn is_system_event(event: &str) -> bool {
        event.starts_with('_')
    }
}

/// What is given out for a record, and what decides when.
#[derive(Debug)]
pub(super) struct Item<T> {
    at: OffsetDateTime,
    bytes: usize,
    id: Option<EventId>,
    cause: Option<EventId>,
    pub(super) value: T,
}

impl<T> Item<T> {
    pub(super) fn new(record: Record, map: impl FnOnce(Record) -> T) -> Self {
        let Record { stored, message, .. } = &record;
        let (id, cause) = match message {
            // Handlers react to events; a dead letter may be of a message that is none.
            Ok(message) => (
                (!message.subject.event_type.is_system()).then_some(message.meta.id),
                message.meta.reaction.as_ref().map(|reaction| reaction.cause),
            ),
            Err(_) => (Some(EventId::of_stored(&stored.stream, stored.seq)), None),
        };
        Self { at: stored.at, bytes: stored.payload.len(), id, cause, value: map(record) }
    }
}

impl<T> Entry for Item<T> {
    fn at(&self) -> OffsetDateTime {
        self.at
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn id(&self) -> Option<EventId> {
        self.id
    }

    fn cause(&self) -> Option<EventId> {
        self.cause
    }
}
