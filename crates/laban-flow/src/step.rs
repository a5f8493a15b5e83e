use laban_wire::{DEAD, Dead, DeadReason, EventId, EventType, Message, Millis, REDRIVE, RETRYING, Retrying};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::Inside;

/// One record of a flow: an event, or a system record (`_handled`, `_retrying`, `_dead`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its id.
    pub id: EventId,
    /// The service that wrote it.
    pub service: String,
    /// The event's own name: `captured`, `_handled`.
    pub event: String,
    /// The stream that holds it.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// The broker's timestamp.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The event reacted to.
    pub cause: Option<EventId>,
    /// The handler that reacted.
    pub handler: Option<String>,
    /// Which attempt of the handler made this, from 1.
    pub attempt: Option<u32>,
    /// How long the cause waited for the handler's process.
    pub queue_ms: Option<Millis>,
    /// How long the handler ran.
    pub handle_ms: Option<Millis>,
    /// The trace it was written in: 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The span that wrote it: 16 hexadecimal digits.
    pub span_id: Option<String>,
    /// The version of its type, if it says one.
    pub version: Option<u32>,
    /// The type of the event reacted to.
    pub on: Option<EventType>,
    /// What went wrong, on `_retrying` and `_dead`.
    pub error: Option<String>,
    /// What kind of end it was, on `_dead`.
    pub reason: Option<DeadReason>,
    /// When the next attempt is due, on `_retrying`; by the clock of the instance that wrote it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_at: Option<OffsetDateTime>,
    /// The same record was stored before: a client published it twice. It counts once.
    pub duplicate: bool,
    /// The handler's own spans, where [they were put in](crate::Flow::put_inside).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<Inside>,
}

impl Step {
    pub(crate) fn of(message: Message) -> Self {
        let event_type = &message.subject.event_type;
        let mut step = Self {
            id: message.meta.id,
            service: event_type.service().to_owned(),
            event: event_type.event().to_owned(),
            stream: message.stream.to_string(),
            seq: message.seq,
            at: message.at,
            cause: None,
            handler: None,
            attempt: None,
            queue_ms: None,
            handle_ms: None,
            trace_id: message.trace.map(|trace| format!("{:032x}", trace.trace_id)),
            span_id: message.trace.map(|trace| format!("{:016x}", trace.span_id)),
            version: message.meta.version,
            on: None,
            error: None,
            reason: None,
            next_at: None,
            duplicate: false,
            inside: Vec::new(),
        };
        if let Some(reaction) = message.meta.reaction {
            step.cause = Some(reaction.cause);
            step.on = Some(reaction.on);
            step.handler = Some(reaction.handler.to_string());
            step.attempt = Some(reaction.attempt);
            step.queue_ms = Some(reaction.queue_ms);
            step.handle_ms = Some(reaction.handle_ms);
        }
        match step.event.as_str() {
            RETRYING => match serde_json::from_slice::<Retrying>(&message.payload) {
                Ok(body) => (step.error, step.next_at) = (Some(body.error), Some(body.next_at)),
                Err(e) => step.error = Some(illegible(&e)),
            },
            DEAD => match serde_json::from_slice::<Dead>(&message.payload) {
                Ok(body) => (step.error, step.reason) = (Some(body.error), Some(body.reason)),
                Err(e) => step.error = Some(illegible(&e)),
            },
            _ => {}
        }
        step
    }

    /// Whether this is a record of the framework rather than a business event.
    pub fn is_system(&self) -> bool {
        self.event.starts_with('_')
    }

    /// `<service>.<event>`.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.service, self.event)
    }

    /// Whether a reaction has come to its end with this record: anything but a failed attempt, or a request for another.
    pub(crate) fn settles(&self) -> bool {
        self.event != RETRYING && self.event != REDRIVE
    }

    pub(crate) fn is_dead_letter(&self) -> bool {
        self.event == DEAD
    }
}

/// A record of a later release, or a forged one: still a step.
fn illegible(error: &serde_json::Error) -> String {
    format!("(the record's body cannot be read: {error})")
}
