use std::collections::HashSet;

use laban_wire::{EventId, Message, Meta, Stored};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::Bodies;

/// A message of the flow that cannot be understood: kept, with the reason, because it may be why something is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unreadable {
    /// The id by which a dead letter refers to it.
    pub id: EventId,
    /// The stream that holds it.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// The broker's timestamp.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Its subject.
    pub subject: String,
    /// Why it cannot be understood.
    pub reason: String,
}

impl Unreadable {
    /// `<service>.<event>`, as its subject has it.
    pub(crate) fn full_name(&self) -> String {
        self.subject.rsplit_once('.').map_or_else(String::new, |(name, _)| name.to_owned())
    }
}

/// What was found on a flow's subjects.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) messages: Vec<Message>,
    pub(crate) unreadable: Vec<Unreadable>,
    /// Ids that may be causes.
    ids: HashSet<EventId>,
}

impl Records {
    pub(crate) fn add(&mut self, stored: Stored) {
        let (id, at) = (EventId::of_stored(&stored.stream, stored.seq), stored.at);
        let (stream, seq, subject) = (stored.stream.to_string(), stored.seq, stored.subject.clone());
        match Message::try_from(stored) {
            Ok(message) => {
                self.ids.insert(message.meta.id);
                self.messages.push(message);
            }
            Err(e) => {
                self.ids.insert(id);
                self.unreadable.push(Unreadable { id, stream, seq, at, subject, reason: e.to_string() });
            }
        }
    }

    /// The bodies of the events among them.
    pub(crate) fn bodies(&self) -> Bodies {
        let events = self.messages.iter().filter(|message| !message.subject.event_type.is_system());
        events.map(|message| (message.meta.id, message.payload.clone())).collect()
    }

    /// The services that wrote a cause which has not been found.
    pub(crate) fn services_of_missing_causes(&self) -> HashSet<&str> {
        let reactions = self.messages.iter().filter_map(|message| match &message.meta {
            Meta { reaction: Some(reaction), .. } => Some(reaction),
            _ => None,
        });
        reactions.filter(|r| !self.ids.contains(&r.cause)).map(|r| r.on.service()).collect()
    }
}
