use laban_wire::EventType;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::BoxError;

/// An immutable fact, named in the past tense, typed and versioned.
///
/// Derive it. The attribute names the event `<service>.<event>` (only that service may emit it), gives the version of its
/// shape, and names the field whose value is the flow's key (`order.id` for a field of a field); any type with `Display`
/// will do.
///
/// ```
/// use laban::Event;
/// use schemars::JsonSchema;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "payment.captured", version = 1, flow = order_id)]
/// struct PaymentCaptured {
///     order_id: String,
///     amount_cents: u64,
/// }
///
/// assert_eq!(PaymentCaptured::NAME, "payment.captured");
/// ```
///
/// On an enum whose variants hold one event each, the derive makes "one of these": a handler may take it, and then reacts to
/// each of the events, or return it.
///
/// ```
/// # use laban::Event; use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "order.completed", version = 1, flow = id)]
/// # struct OrderCompleted { id: String }
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "order.cancelled", version = 1, flow = id)]
/// # struct OrderCancelled { id: String }
/// #[derive(Event)]
/// enum Ended {
///     Completed(OrderCompleted),
///     Cancelled(OrderCancelled),
/// }
///
/// async fn tell(ended: Ended) { /* … */ }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "events are structs with `#[derive(laban::Event, Serialize, Deserialize, JsonSchema)]` and \
            `#[event(name = \"service.happened\", version = 1, flow = field)]`"
)]
pub trait Event: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// `<service>.<event>`.
    const NAME: &'static str;
    /// The version of the type's shape, from 1.
    const VERSION: u32;
    /// The business key of the flow that this event belongs to.
    fn flow_key(&self) -> String;
}

/// What a handler can take as its first argument: an [`Event`], or an enum of events.
#[diagnostic::on_unimplemented(
    message = "a handler cannot react to `{Self}`",
    label = "neither an event nor an enum of events",
    note = "a handler's first argument is what it reacts to: a struct or an enum with `#[derive(laban::Event)]`; \
            `State<T>`, `Flow<T>` and `Cause` come after it"
)]
pub trait Input: Sized + Send + 'static {
    /// The event types that the handler reacts to.
    fn event_types() -> Vec<EventInfo>;
    /// Whether it is one of them.
    fn accepts(event_type: &EventType) -> bool;
    /// Decodes one of them.
    ///
    /// # Errors
    /// When the payload is not of that type.
    fn decode(event_type: &EventType, payload: &[u8]) -> Result<Self, BoxError>;
    /// The business key of the flow that the event belongs to.
    fn flow_key(&self) -> String;
}

#[diagnostic::do_not_recommend]
impl<E: Event> Input for E {
    fn event_types() -> Vec<EventInfo> {
        vec![EventInfo::of::<E>()]
    }

    fn accepts(event_type: &EventType) -> bool {
        event_type.as_str() == E::NAME
    }

    fn decode(_: &EventType, payload: &[u8]) -> Result<Self, BoxError> {
        Ok(serde_json::from_slice(payload)?)
    }

    fn flow_key(&self) -> String {
        Event::flow_key(self)
    }
}

/// An event type as a contract has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventInfo {
    /// `<service>.<event>`.
    pub event: EventType,
    /// The version of its shape.
    pub version: u32,
    /// The JSON Schema of its body.
    pub schema: schemars::Schema,
}

impl EventInfo {
    /// What is known of `E`.
    pub fn of<E: Event>() -> Self {
        Self { event: EventType::from_static(E::NAME), version: E::VERSION, schema: schemars::schema_for!(E) }
    }
}
