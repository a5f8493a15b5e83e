use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::layout::compact;
use crate::{DEAD, DeadReason, EventId, EventType, HANDLED, Payload};

/// One record of a case: an event, or the end of a reaction that led to none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Shape", into = "Shape")]
pub struct CaseRecord {
    /// `<service>.<event>`: `payment.captured`, `shipping._handled`.
    pub event: EventType,
    /// What it is the outcome of; nothing for what begins a flow, or joins it from outside.
    pub work: Option<CaseWork>,
    /// What it says.
    pub what: CaseWhat,
}

/// A handler's reaction to an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CaseWork {
    /// The event reacted to.
    pub cause: EventId,
    /// That event's type.
    pub on: EventType,
    /// The handler that reacted.
    pub handler: String,
}

/// What a record of a case says.
#[derive(Clone, Debug)]
pub enum CaseWhat {
    /// An event.
    Event {
        /// Its id.
        id: EventId,
        /// The version of its type, if it says one.
        version: Option<u32>,
        /// Its body.
        body: Payload,
    },
    /// The handler emitted nothing.
    Handled,
    /// The handler gave up. What is missing here may be anything.
    Dead {
        /// What kind of end it was.
        reason: Option<DeadReason>,
        /// The error, for a reader.
        error: Option<String>,
        /// The same for errors that differ only in numbers, ids and quoted values.
        fingerprint: Option<String>,
    },
}

impl CaseRecord {
    /// The event's id; a system record has none here, because it would tell the number of attempts.
    pub fn id(&self) -> Option<EventId> {
        match self.what {
            CaseWhat::Event { id, .. } => Some(id),
            _ => None,
        }
    }
}

/// A record as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    event: EventType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<EventType>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handler: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<DeadReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Also `null`, which is a body.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl From<CaseRecord> for Shape {
    fn from(record: CaseRecord) -> Self {
        let CaseRecord { event, work, what } = record;
        let (cause, on, handler) = match work {
            None => (None, None, None),
            Some(CaseWork { cause, on, handler }) => (Some(cause), Some(on), Some(handler)),
        };
        let mut shape = Self {
            event,
            version: None,
            id: None,
            cause,
            on,
            handler,
            reason: None,
            error: None,
            fingerprint: None,
            body: None,
            text: None,
            base64: None,
        };
        match what {
            CaseWhat::Event { id, version, body } => {
                (shape.id, shape.version) = (Some(id), version);
                match body {
                    Payload::Json(json) => shape.body = Some(json),
                    Payload::Text(text) => shape.text = Some(text),
                    Payload::Base64(base64) => shape.base64 = Some(base64),
                }
            }
            CaseWhat::Handled => {}
            CaseWhat::Dead { reason, error, fingerprint } => {
                (shape.reason, shape.error, shape.fingerprint) = (reason, error, fingerprint);
            }
        }
        shape
    }
}

impl TryFrom<Shape> for CaseRecord {
    type Error = String;

    fn try_from(shape: Shape) -> Result<Self, String> {
        let Shape { event, version, id, cause, on, handler, reason, error, fingerprint, body, text, base64 } =
            shape;
        let wrong = |what: &str| format!("{event}: {what}");
        let work = match (cause, on, handler) {
            (None, None, None) => None,
            (Some(cause), Some(on), Some(handler)) if !handler.is_empty() => {
                Some(CaseWork { cause, on, handler })
            }
            _ => return Err(wrong("`cause`, `on` and `handler` belong together")),
        };
        let payload = match (body, text, base64) {
            (None, None, None) => None,
            (Some(json), None, None) => Some(Payload::of(compact(json.get()).as_bytes())),
            (None, Some(text), None) => Some(Payload::Text(text)),
            (None, None, Some(base64)) => {
                let payload = Payload::Base64(base64);
                payload
                    .is_decodable()
                    .then_some(payload)
                    .map(Some)
                    .ok_or_else(|| wrong("`base64` is none"))?
            }
            _ => return Err(wrong("it has one of `body`, `text` and `base64`")),
        };
        let dead = reason.is_some() || error.is_some() || fingerprint.is_some();
        let what = match (event.event(), id, payload) {
            (HANDLED | DEAD, None, None) if work.is_none() => {
                return Err(wrong("it needs `cause`, `on` and `handler`"));
            }
            (HANDLED, None, None) if !dead && version.is_none() => CaseWhat::Handled,
            (HANDLED, ..) => return Err(wrong("it has `cause`, `on` and `handler`, and nothing else")),
            (DEAD, None, None) if version.is_none() => CaseWhat::Dead { reason, error, fingerprint },
            (DEAD, ..) => return Err(wrong("it has neither an id, nor a version, nor a body")),
            _ if event.is_system() => {
                return Err(wrong("a case has events, `_handled` and `_dead`, and no other system records"));
            }
            _ if dead => return Err(wrong("`reason`, `error` and `fingerprint` are for `_dead`")),
            (_, Some(id), Some(body)) => CaseWhat::Event { id, version, body },
            _ => return Err(wrong("an event has an `id`, and a `body`, `text` or `base64`")),
        };
        Ok(Self { event, work, what })
    }
}
