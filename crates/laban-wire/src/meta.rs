use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{EventId, EventType, InvalidMessage, Millis};

/// The one header that carries everything but the trace context.
///
/// One header with many fields rather than many headers: each header costs a client an allocation at both ends.
pub const HEADER: &str = "Laban";

/// What an event says about itself, the fields of the [`HEADER`]:
/// `id=… v=1 cause=… on=order.placed handler=charge attempt=2 queue_ms=0.412 handle_ms=3.108`.
///
/// Fields may come in any order, and unknown ones are skipped: a later version may add some.
#[derive(Clone, PartialEq, Debug)]
pub struct Meta {
    /// The event's id.
    pub id: EventId,
    /// The version of its type; messages of other origin may not say.
    pub version: Option<u32>,
    /// What a handler made of another event; nothing for a flow's first event.
    pub reaction: Option<Reaction>,
}

/// Who wrote a record in reaction to what, and how long it took.
#[derive(Clone, PartialEq, Debug)]
pub struct Reaction {
    /// The event reacted to.
    pub cause: EventId,
    /// That event's type.
    pub on: EventType,
    /// The handler that reacted.
    pub handler: Arc<str>,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// How long the cause waited: from the broker's timestamp to its receipt by the handler's process.
    pub queue_ms: Millis,
    /// How long the handler ran.
    pub handle_ms: Millis,
}

impl Meta {
    /// What a flow's first event says.
    pub fn root(id: EventId, version: u32) -> Self {
        Self { id, version: Some(version), reaction: None }
    }
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_header())
    }
}

impl Meta {
    /// The header's value.
    pub fn to_header(&self) -> String {
        let mut value = String::with_capacity(192);
        value.push_str("id=");
        self.id.push_to(&mut value);
        if let Some(version) = self.version {
            value.push_str(" v=");
            value.push_str(itoa::Buffer::new().format(version));
        }
        let Some(Reaction { cause, on, handler, attempt, queue_ms, handle_ms }) = &self.reaction else {
            return value;
        };
        value.push_str(" cause=");
        cause.push_to(&mut value);
        value.extend([" on=", on.as_str(), " handler=", handler]);
        if *attempt > 1 {
            value.push_str(" attempt=");
            value.push_str(itoa::Buffer::new().format(*attempt));
        }
        value.push_str(" queue_ms=");
        queue_ms.push_to(&mut value);
        value.push_str(" handle_ms=");
        handle_ms.push_to(&mut value);
        value
    }
}

impl FromStr for Meta {
    type Err = InvalidMessage;

    fn from_str(text: &str) -> Result<Self, InvalidMessage> {
        fn field<T: FromStr<Err: fmt::Display>>(name: &str, value: &str) -> Result<T, InvalidMessage> {
            value
                .parse()
                .map_err(|e| InvalidMessage::Header { field: name.to_owned(), reason: format!("{e}") })
        }
        let missing = |name: &str| InvalidMessage::Header {
            field: name.to_owned(),
            reason: "it is missing".to_owned(),
        };

        let (mut id, mut version, mut cause, mut on, mut handler) = (None, None, None, None, None);
        let (mut attempt, mut queue_ms, mut handle_ms) = (1, Millis::default(), Millis::default());
        for pair in text.split(' ').filter(|pair| !pair.is_empty()) {
            let end = pair.bytes().position(|byte| byte == b'=');
            let (name, value) = end.map_or((pair, ""), |end| (&pair[..end], &pair[end + 1..]));
            match name {
                "id" => id = Some(field(name, value)?),
                "v" => version = Some(field(name, value)?),
                "cause" => cause = Some(field(name, value)?),
                "on" => on = Some(field(name, value)?),
                "handler" => handler = Some(value.into()),
                "attempt" => attempt = field(name, value)?,
                "queue_ms" => queue_ms = field(name, value)?,
                "handle_ms" => handle_ms = field(name, value)?,
                _ => {}
            }
        }
        let reaction = match cause {
            None => None,
            Some(cause) => Some(Reaction {
                cause,
                on: on.ok_or_else(|| missing("on"))?,
                handler: handler.ok_or_else(|| missing("handler"))?,
                attempt,
                queue_ms,
                handle_ms,
            }),
        };
        Ok(Self { id: id.ok_or_else(|| missing("id"))?, version, reaction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction() -> Meta {
        Meta {
            id: EventId::root(),
            version: Some(1),
            reaction: Some(Reaction {
                cause: EventId::root(),
                on: "order.placed".parse().unwrap(),
                handler: "charge".into(),
                attempt: 2,
                queue_ms: "0.412".parse().unwrap(),
                handle_ms: "3.1".parse().unwrap(),
            }),
        }
    }

    #[test]
    fn round_trips() {
        for meta in [Meta::root(EventId::root(), 3), reaction()] {
            assert_eq!(meta.to_header().parse::<Meta>().unwrap(), meta);
        }
    }

    #[test]
    fn a_later_version_may_add_fields() {
        let header = format!("new=1 {} bare x=", reaction().to_header());
        assert!(header.parse::<Meta>().is_ok());
    }

    #[test]
    fn a_broken_field_is_named() {
        let id = EventId::root();
        for (header, field) in [
            ("v=1".to_owned(), "id"),
            ("id=4711".to_owned(), "id"),
            (format!("id={id} v=one"), "v"),
            (format!("id={id} cause={id} handler=x"), "on"),
            (format!("id={id} cause={id} on=a.b"), "handler"),
        ] {
            match header.parse::<Meta>() {
                Err(InvalidMessage::Header { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{header}: {other:?}"),
            }
        }
    }
}
