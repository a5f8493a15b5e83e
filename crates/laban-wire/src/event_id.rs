use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Ids of messages that carry none of ours hang below this one. Part of the wire format.
const FOREIGN: Uuid = Uuid::from_u128(0x6c61_6261_6e00_5f00_8000_666f_7265_6967);

/// An event's id: what makes a second delivery recognisable, and what a handler hands to the outside world as
/// idempotency key.
///
/// A flow's first event has a UUIDv7. Every event that a handler emits has a UUIDv5 of (cause, service, handler,
/// output index), so running the handler again gives the same id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id for an event that nothing in the mesh caused.
    pub fn root() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of output number `index` of `handler` of `service` reacting to `cause`:
    /// UUIDv5 with the cause as name space and `<service>/<handler>/<index>` as name.
    pub fn derived(cause: EventId, service: &str, handler: &str, index: usize) -> Self {
        let mut name = String::with_capacity(service.len() + handler.len() + 8);
        name.extend([service, "/", handler, "/"]);
        name.push_str(itoa::Buffer::new().format(index));
        Self(Uuid::new_v5(&cause.0, name.as_bytes()))
    }

    /// The id of a message that carries none: it follows from where it is stored.
    pub fn of_stored(stream: &str, sequence: u64) -> Self {
        Self(Uuid::new_v5(&FOREIGN, format!("{stream}/{sequence}").as_bytes()))
    }

    /// The id of an event that another system named: a UUID is taken as it is, other text is hashed with its source
    /// (CloudEvents: `source` and `id` together are unique).
    pub fn foreign(source: &str, id: &str) -> Self {
        Self(id.parse().unwrap_or_else(|_| Uuid::new_v5(&FOREIGN, format!("{source} {id}").as_bytes())))
    }

    /// The id as text, with hyphens.
    pub fn to_text(self) -> String {
        let mut text = String::with_capacity(uuid::fmt::Hyphenated::LENGTH);
        self.push_to(&mut text);
        text
    }

    /// Appends the id as it is written in headers.
    pub(crate) fn push_to(self, text: &mut String) {
        text.push_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    }

    /// The id as a UUID.
    pub fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_are_part_of_the_wire_format() {
        // Any UUIDv5 implementation gives this; other languages check against it.
        let cause: EventId = "0199f3c2-0000-7000-8000-000000000001".parse().unwrap();
        let id = EventId::derived(cause, "payment", "charge", 0);
        assert_eq!(id.to_string(), "7e1b32d0-2339-59e6-9f44-6861294b20b1");
        assert_ne!(id, EventId::derived(cause, "payment", "charge", 1));
    }

    #[test]
    fn a_foreign_uuid_is_kept() {
        let id = "0199f3c2-0000-7000-8000-000000000001";
        assert_eq!(EventId::foreign("/shop", id).to_string(), id);
        assert_ne!(EventId::foreign("/shop", "1"), EventId::foreign("/till", "1"));
    }
}
