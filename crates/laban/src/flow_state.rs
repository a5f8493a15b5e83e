use std::sync::Arc;

use laban_wire::{HANDLED, Handled, Message, Payload, StoredInput};

use crate::{BoxError, Event};

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

    /// Whether this is the outcome of handling an event of type `E`, whatever came of it.
    pub fn handled<E: Event>(&self) -> bool {
        let outcome = !self.message.subject.event_type.is_system()
            || self.message.subject.event_type.event() == HANDLED;
        outcome && self.message.meta.reaction.as_ref().is_some_and(|reaction| reaction.on.as_str() == E::NAME)
    }

    /// The event of type `E` that was handled here and led to nothing: the first half of a join.
    ///
    /// An input that led to an event is not kept a second time: what matters of it is for that event to say.
    ///
    /// # Errors
    /// When it does not decode as `E`.
    pub fn input<E: Event>(&self) -> Result<Option<E>, BoxError> {
        match &self.input {
            Some(input) if input.event.as_str() == E::NAME => decode(&input.payload).map(Some),
            _ => Ok(None),
        }
    }

    /// The event of type `E` that was emitted here.
    ///
    /// # Errors
    /// When it does not decode as `E`.
    pub fn emitted<E: Event>(&self) -> Result<Option<E>, BoxError> {
        if self.message.subject.event_type.as_str() != E::NAME {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&self.message.payload)?))
    }
}

fn decode<E: Event>(payload: &Payload) -> Result<E, BoxError> {
    Ok(serde_json::from_slice(&payload.to_bytes())?)
}
