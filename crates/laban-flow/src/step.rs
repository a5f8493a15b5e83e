use laban_wire::{
    Asked, DEAD, DISCARDED, Dead, DeadReason, Discarded, EventId, EventType, Message, Millis, REDRIVE,
    RETRYING, Retrying,
};
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
    /// The sequence of the dead letter that is handed back or given up, on `_redrive` and `_discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_seq: Option<u64>,
    /// What took effect is to be done again, on `_redrive`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Who wrote it, on `_redrive` and `_discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, on `_redrive` and `_discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The body that the handler got was another than the one that it gave up on, on `_redrive`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub edited: bool,
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
            dead_seq: None,
            again: false,
            by: None,
            why: None,
            edited: false,
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
            REDRIVE => match Asked::read(&message.payload) {
                Ok(Asked::HandBack(body)) => {
                    (step.dead_seq, step.edited) = (Some(body.dead_seq), body.payload.is_some());
                    (step.by, step.why) = (body.by, body.why);
                }
                Ok(Asked::Again(body)) => {
                    (step.again, step.by, step.why) = (true, Some(body.by), Some(body.why));
                }
                Err(e) => step.error = Some(illegible(&e)),
            },
            DISCARDED => match serde_json::from_slice::<Discarded>(&message.payload) {
                Ok(body) => {
                    (step.dead_seq, step.by, step.why) = (Some(body.dead_seq), Some(body.by), Some(body.why));
                }
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

    /// Whether a reaction has come to its end with this record: anything but a failed attempt, or what an operator wrote.
    pub(crate) fn settles(&self) -> bool {
        self.event != RETRYING && !self.is_operators()
    }

    /// Whether an operator wrote it about a reaction, rather than the service itself.
    pub(crate) fn is_operators(&self) -> bool {
        self.event == REDRIVE || self.event == DISCARDED
    }

    /// What an operator decided about a reaction, in words: `handed back by ann: the bank is back`.
    pub fn decision(&self) -> Option<String> {
        let what = match (self.event.as_str(), self.edited) {
            (REDRIVE, _) if self.again => "to be done again, asked for",
            (REDRIVE, false) => "handed back",
            (REDRIVE, true) => "handed back with another body",
            (DISCARDED, _) => "discarded",
            _ => return None,
        };
        let by = self.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
        let why = self.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("{what}{by}{why}"))
    }

    pub(crate) fn is_dead_letter(&self) -> bool {
        self.event == DEAD
    }
}

/// A record of a later release, or a forged one: still a step.
fn illegible(error: &serde_json::Error) -> String {
    format!("(the record's body cannot be read: {error})")
}
