use std::sync::Arc;

use laban_wire::shadow::{Emitted, Outcome, Trouble};
use laban_wire::{DeadReason, EventId, EventType, FlowId, Message, Meta, Payload, Subject, error_chain};

use crate::outcome::End;
use crate::{BoxError, Event, Input};

/// What is recorded of one reaction: what a shadow's stand-ins for the outside world are made of.
///
/// See [`Service::state_in_shadow`](crate::Service::state_in_shadow). What the outside world said then is not recorded as such,
/// but the outcome tells: if the card was charged, the bank had said yes.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(super) handler: Arc<str>,
    pub(super) input: Arc<Message>,
    pub(super) outcome: Option<Outcome>,
}

impl Recorded {
    /// The handler that reacted.
    pub fn handler(&self) -> &str {
        &self.handler
    }

    /// The event reacted to, if it is an `I` (an event, or one of an enum of events).
    ///
    /// # Errors
    /// When it does not decode as `I`.
    pub fn input<I: Input>(&self) -> Result<Option<I>, BoxError> {
        let Subject { event_type, .. } = &self.input.subject;
        if !I::accepts(event_type) {
            return Ok(None);
        }
        I::decode(event_type, self.input.meta.version, &self.input.payload).map(Some)
    }

    /// The first event of type `E` that came of it.
    ///
    /// # Errors
    /// When it does not decode as `E`.
    pub fn event<E: Event>(&self) -> Result<Option<E>, BoxError> {
        self.emitted().find(|emitted| emitted.event.as_str() == E::NAME).map(decoded).transpose()
    }

    /// All events of type `E` that came of it, in the order of their emission.
    ///
    /// # Errors
    /// When one does not decode as `E`.
    pub fn events<E: Event>(&self) -> Result<Vec<E>, BoxError> {
        self.emitted().filter(|emitted| emitted.event.as_str() == E::NAME).map(decoded).collect()
    }

    /// Whether it was handled, and no event came of it.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.outcome, Some(Outcome::Emitted(events)) if events.is_empty())
    }

    /// Why it became a dead letter, and the error, if it did.
    pub fn dead_letter(&self) -> Option<(DeadReason, &str)> {
        match &self.outcome {
            Some(Outcome::Dead { reason, trouble }) => Some((*reason, &trouble.error)),
            _ => None,
        }
    }

    /// Whether nothing is recorded: nobody reacted, and what the outside world would have said nobody knows.
    pub fn is_new(&self) -> bool {
        self.outcome.is_none()
    }

    fn emitted(&self) -> impl Iterator<Item = &Emitted> {
        let events = match &self.outcome {
            Some(Outcome::Emitted(events)) => events.as_slice(),
            _ => &[],
        };
        events.iter()
    }

    /// A record made up for a unit test of a stand-in: the handler of this name reacted to this event with this outcome, as
    /// the handler returns it. One that would be retried stands for one that was retried until it was given up.
    ///
    /// # Errors
    /// When an event does not serialize, or has no flow.
    pub fn test<E: Event>(handler: &str, input: &E, outcome: impl crate::Outcome) -> Result<Self, BoxError> {
        let dead = |reason, error: BoxError| {
            let error = error_chain(error.as_ref());
            Outcome::Dead { reason, trouble: Trouble { fingerprint: String::new(), error } }
        };
        let outcome = match outcome.into_end() {
            End::Emit(outbox) => match outbox.error {
                None => Outcome::Emitted(outbox.into_emitted()),
                Some(error) => dead(DeadReason::Unwritable, error.into()),
            },
            End::Retry(error) => dead(DeadReason::Exhausted, error),
            End::Reject(error) => dead(DeadReason::Rejected, error),
        };
        let input = Message {
            stream: "TEST".into(),
            seq: 1,
            at: time::OffsetDateTime::UNIX_EPOCH,
            subject: Subject::new(EventType::from_static(E::NAME), FlowId::new(input.flow_key())?),
            meta: Meta::root(EventId::root(), E::VERSION),
            trace: None,
            payload: serde_json::to_vec(input)?.into(),
        };
        Ok(Self { handler: handler.into(), input: Arc::new(input), outcome: Some(outcome) })
    }
}

impl crate::Outbox {
    /// Its events, as they are compared.
    pub(super) fn into_emitted(self) -> Vec<Emitted> {
        let emitted = |event: crate::outcome::Outgoing| Emitted {
            version: Some(event.version),
            flow: event.subject.flow.token().to_owned(),
            event: event.subject.event_type,
            payload: Payload::of(&event.payload),
        };
        self.events.into_iter().map(emitted).collect()
    }
}

fn decoded<E: Event>(emitted: &Emitted) -> Result<E, BoxError> {
    E::from_body(emitted.version, &emitted.payload.to_bytes())
        .map_err(|error| format!("what is recorded, {}, does not decode: {error}", E::NAME).into())
}
