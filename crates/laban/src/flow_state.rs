use std::sync::Arc;

use laban_wire::{
    EventId, EventType, FlowId, HANDLED, Handled, Message, Meta, Millis, Payload, Reaction, StoredInput,
    Subject,
};

use crate::{BoxError, Event, Input};

/// A view of what the service did about one flow, folded from its own records, oldest first.
///
/// ```
/// use laban::{BoxError, FlowState, Record};
/// # use laban::Event; use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "payment.captured", version = 1, flow = id)]
/// # struct PaymentCaptured { id: String }
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "inventory.reserved", version = 1, flow = id)]
/// # struct StockReserved { id: String }
///
/// /// Ship when both paid and reserved.
/// #[derive(Default)]
/// struct Parcel {
///     paid: bool,
///     reserved: bool,
/// }
///
/// impl FlowState for Parcel {
///     fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
///         self.paid |= record.handled::<PaymentCaptured>();
///         self.reserved |= record.handled::<StockReserved>();
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be folded from the flow's records",
    label = "not a flow state",
    note = "implement `laban::FlowState` (and `Default`) for it"
)]
pub trait FlowState: Default + Send + 'static {
    /// Takes one more record into account.
    ///
    /// # Errors
    /// When a record cannot be understood; the reaction is then retried, and becomes a dead letter in the end.
    fn apply(&mut self, record: &Record) -> Result<(), BoxError>;
}

/// One of the service's own records of a flow: an event it emitted, or the note that it handled one and emitted nothing.
#[derive(Clone, Debug)]
pub struct Record {
    message: Arc<Message>,
    input: Option<Arc<StoredInput>>,
}

impl Record {
    pub(crate) fn of(message: Arc<Message>) -> Self {
        let input = (message.subject.event_type.event() == HANDLED)
            .then(|| serde_json::from_slice::<Handled>(&message.payload).ok()?.input)
            .flatten();
        Self { message, input: input.map(Arc::new) }
    }

    /// Whether this is the outcome of handling an `I` (an event, or one of an enum of events), whatever came of it.
    pub fn handled<I: Input>(&self) -> bool {
        let outcome = !self.message.subject.event_type.is_system()
            || self.message.subject.event_type.event() == HANDLED;
        outcome && self.message.meta.reaction.as_ref().is_some_and(|reaction| I::accepts(&reaction.on))
    }

    /// The `I` (an event, or one of an enum of events) that was handled here and led to nothing: the first half of a join.
    ///
    /// An input that led to an event is not kept a second time: what matters of it is for that event to say.
    ///
    /// # Errors
    /// When it does not decode as `I`.
    pub fn input<I: Input>(&self) -> Result<Option<I>, BoxError> {
        match &self.input {
            Some(input) if I::accepts(&input.event) => {
                I::decode(&input.event, input.version, &input.payload.to_bytes()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether an event of type `E` was emitted here.
    pub fn has_emitted<E: Event>(&self) -> bool {
        self.message.subject.event_type.as_str() == E::NAME
    }

    /// The event of type `E` that was emitted here.
    ///
    /// # Errors
    /// When it does not decode as `E`.
    pub fn emitted<E: Event>(&self) -> Result<Option<E>, BoxError> {
        if !self.has_emitted::<E>() {
            return Ok(None);
        }
        E::from_body(self.message.meta.version, &self.message.payload).map(Some)
    }

    /// A record made up for a unit test of a [`FlowState`]: this event was handled and led to nothing.
    ///
    /// # Errors
    /// When the event does not serialize, or has no flow.
    pub fn test_handled<E: Event>(event: &E) -> Result<Self, BoxError> {
        let on = EventType::from_static(E::NAME);
        let input = StoredInput {
            event: on.clone(),
            version: Some(E::VERSION),
            payload: Payload::of(&serde_json::to_vec(event)?),
        };
        let service = on.service().parse()?;
        let body = serde_json::to_vec(&Handled { input: Some(input) })?;
        Self::test(EventType::system(&service, HANDLED), &event.flow_key(), body, Some(on))
    }

    /// A record made up for a unit test of a [`FlowState`]: this event was emitted without a cause, as a flow's first is.
    ///
    /// # Errors
    /// When the event does not serialize, or has no flow.
    pub fn test_emitted<E: Event>(event: &E) -> Result<Self, BoxError> {
        let body = serde_json::to_vec(event)?;
        Self::test(EventType::from_static(E::NAME), &event.flow_key(), body, None)
    }

    /// A record made up for a unit test of a [`FlowState`]: this event was emitted in reaction to a `Cause`.
    ///
    /// # Errors
    /// When the event does not serialize, or has no flow.
    pub fn test_emitted_on<Cause: Event, E: Event>(event: &E) -> Result<Self, BoxError> {
        let (name, cause) = (EventType::from_static(E::NAME), EventType::from_static(Cause::NAME));
        Self::test(name, &event.flow_key(), serde_json::to_vec(event)?, Some(cause))
    }

    fn test(
        event: EventType,
        flow_key: &str,
        payload: Vec<u8>,
        on: Option<EventType>,
    ) -> Result<Self, BoxError> {
        let reaction = on.map(|on| Reaction {
            cause: EventId::root(),
            on,
            handler: "test".into(),
            attempt: 1,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        });
        Ok(Self::of(Arc::new(Message {
            stream: "TEST".into(),
            seq: 1,
            at: time::OffsetDateTime::UNIX_EPOCH,
            subject: Subject::new(event, FlowId::new(flow_key)?),
            meta: Meta { id: EventId::root(), version: None, reaction },
            trace: None,
            payload: payload.into(),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[event(name = "payment.captured", version = 1, flow = id)]
    struct Paid {
        id: String,
    }

    #[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[event(name = "inventory.reserved", version = 1, flow = id)]
    struct Reserved {
        id: String,
    }

    #[derive(Event, Debug, PartialEq)]
    enum Half {
        Paid(Paid),
        Reserved(Reserved),
    }

    #[test]
    fn a_record_tells_inputs_from_outputs() {
        let paid = || Paid { id: "4711".into() };
        let handled = Record::test_handled(&paid()).unwrap();
        assert!(handled.handled::<Paid>() && handled.handled::<Half>() && !handled.handled::<Reserved>());
        assert_eq!(handled.input::<Half>().unwrap(), Some(Half::Paid(paid())));
        assert!(!handled.has_emitted::<Paid>());
        let emitted = Record::test_emitted_on::<Reserved, _>(&paid()).unwrap();
        assert_eq!(emitted.emitted::<Paid>().unwrap(), Some(paid()));
        assert!(emitted.handled::<Reserved>() && !emitted.handled::<Paid>());
        assert_eq!(emitted.input::<Paid>().unwrap(), None);
    }
}
