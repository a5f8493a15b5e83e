use laban_wire::{EventId, InvalidMessage, Message, Stored};
use time::OffsetDateTime;

use super::merge::Entry;

/// One record of history: as its stream holds it, and as far as it can be understood.
#[derive(Clone, Debug)]
pub struct Record {
    /// As its stream holds it.
    pub stored: Stored,
    /// What it says; or why it is no event, so that it is at least seen.
    pub message: Result<Message, InvalidMessage>,
}

impl Record {
    /// Whether this is a record of the framework rather than a business event.
    pub fn is_system(&self) -> bool {
        self.stored.subject.split('.').nth(1).is_some_and(Self::is_system_event)
    }

    pub(super) fn is_system_event(event: &str) -> bool {
        event.starts_with('_')
    }
}

impl From<Stored> for Record {
    fn from(stored: Stored) -> Self {
        let message = match &stored.malformed {
            Some(reason) => Err(InvalidMessage::HeaderBlock { reason: reason.clone() }),
            None => stored.subject.parse().and_then(|subject| {
                let Stored { stream, seq, at, headers, payload, .. } = &stored;
                Message::read(stream.clone(), *seq, *at, subject, headers, payload.clone())
            }),
        };
        Self { stored, message }
    }
}

impl Entry for Record {
    fn at(&self) -> OffsetDateTime {
        self.stored.at
    }

    fn bytes(&self) -> usize {
        self.stored.payload.len()
    }

    /// Handlers react to events; a dead letter may be of a message that is none.
    fn id(&self) -> Option<EventId> {
        match &self.message {
            Ok(message) if message.subject.event_type.is_system() => None,
            Ok(message) => Some(message.meta.id),
            Err(_) => Some(EventId::of_stored(&self.stored.stream, self.stored.seq)),
        }
    }

    fn cause(&self) -> Option<EventId> {
        Some(self.message.as_ref().ok()?.meta.reaction.as_ref()?.cause)
    }
}
