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
/// A shape that has changed so that old readers or old events break gets the next version, and is told what it is made
/// `from`: the type of the version before, which keeps name and version, and may have a `from` of its own. A handler of the
/// newest then takes them all.
///
/// ```
/// # use laban::Event; use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "payment.captured", version = 1, flow = order_id)]
/// struct PaymentCapturedV1 {
///     order_id: String,
///     euros: u64,
/// }
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "payment.captured", version = 2, flow = order_id, from = PaymentCapturedV1)]
/// struct PaymentCaptured {
///     order_id: String,
///     amount_cents: u64,
/// }
///
/// impl From<PaymentCapturedV1> for PaymentCaptured {
///     fn from(old: PaymentCapturedV1) -> Self {
///         Self { order_id: old.order_id, amount_cents: old.euros * 100 }
///     }
/// }
///
/// let old = PaymentCaptured::from_body(Some(1), br#"{"order_id": "4711", "euros": 18}"#)?;
/// assert_eq!(old.amount_cents, 1800);
/// # Ok::<(), laban::BoxError>(())
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
    /// The versions that are understood, the newest first: this one, and those that it can be made from.
    fn versions() -> Vec<u32> {
        vec![Self::VERSION]
    }
    /// Decodes a body of one of these versions. One that says no version is read as the newest that it fits.
    ///
    /// # Errors
    /// When the body is not of that version, or the version is none of these.
    fn from_body(version: Option<u32>, body: &[u8]) -> Result<Self, BoxError> {
        match version {
            Some(version) if version != Self::VERSION => Err(derive::unknown::<Self>(version)),
            _ => Ok(serde_json::from_slice(body)?),
        }
    }
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
    /// Decodes one of them, of a version that its message may not say.
    ///
    /// # Errors
    /// When the payload is not of that type and version.
    fn decode(event_type: &EventType, version: Option<u32>, payload: &[u8]) -> Result<Self, BoxError>;
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

    fn decode(_: &EventType, version: Option<u32>, payload: &[u8]) -> Result<Self, BoxError> {
        E::from_body(version, payload)
    }

    fn flow_key(&self) -> String {
        Event::flow_key(self)
    }
}

/// An event type as a handler knows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventInfo {
    /// `<service>.<event>`.
    pub event: EventType,
    /// The version of its shape.
    pub version: u32,
    /// The versions that are understood, the newest first.
    pub versions: Vec<u32>,
    /// The JSON Schema of its body.
    pub schema: schemars::Schema,
}

impl EventInfo {
    /// What is known of `E`.
    pub fn of<E: Event>() -> Self {
        Self {
            event: EventType::from_static(E::NAME),
            version: E::VERSION,
            versions: E::versions(),
            schema: schemars::schema_for!(E),
        }
    }
}

/// `version 1`, `versions 3, 2 and 1`.
pub(crate) fn in_words(versions: &[u32]) -> String {
    let all = versions.iter().map(u32::to_string).collect::<Vec<_>>();
    match all.as_slice() {
        [] => "no version".to_owned(),
        [one] => format!("version {one}"),
        [many @ .., last] => format!("versions {} and {last}", many.join(", ")),
    }
}

/// What the derived code calls.
pub mod derive {
    use super::in_words;
    use crate::{BoxError, Event};

    /// Decodes a body of the newest version, or of an older one and makes the newest of it.
    ///
    /// One that says no version is read as the newest that it fits: its writer knows nothing of versions, and may never
    /// have heard of the newest.
    ///
    /// # Errors
    /// When the body is of no version that is known.
    pub fn upcast<New: Event + From<Old>, Old: Event>(
        version: Option<u32>,
        body: &[u8],
    ) -> Result<New, BoxError> {
        match version {
            Some(version) if version == New::VERSION => Ok(serde_json::from_slice(body)?),
            Some(version) if !New::versions().contains(&version) => Err(unknown::<New>(version)),
            Some(_) => Old::from_body(version, body).map(New::from),
            None => serde_json::from_slice(body).or_else(|newest| {
                // What is told of a body that fits none is what the newest says.
                Old::from_body(None, body).map(New::from).map_err(|_| newest.into())
            }),
        }
    }

    pub(super) fn unknown<E: Event>(version: u32) -> BoxError {
        format!("{} is of version {version}; known here: {}", E::NAME, in_words(&E::versions())).into()
    }

    /// Whether two events have one name, asked when they are compiled.
    pub const fn same_name(one: &str, other: &str) -> bool {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        let mut at = 0;
        while at < one.len() && at < other.len() && one[at] == other[at] {
            at += 1;
        }
        at == one.len() && at == other.len()
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    use crate::Event;

    #[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[event(name = "payment.captured", version = 1, flow = id)]
    struct First {
        id: String,
    }

    #[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[event(name = "payment.captured", version = 3, flow = id, from = First)]
    struct Third {
        id: String,
        #[serde(default)]
        steps: Vec<u8>,
    }

    impl From<First> for Third {
        fn from(old: First) -> Self {
            Self { id: old.id, steps: vec![3] }
        }
    }

    /// The id has another name now, so no older body fits.
    #[derive(Event, Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
    #[event(name = "payment.captured", version = 4, flow = payment, from = Third)]
    struct Fourth {
        payment: String,
        steps: Vec<u8>,
    }

    impl From<Third> for Fourth {
        fn from(old: Third) -> Self {
            Self { payment: old.id, steps: old.steps }
        }
    }

    fn steps(version: Option<u32>, body: &[u8]) -> Result<Vec<u8>, String> {
        Fourth::from_body(version, body).map(|event| event.steps).map_err(|error| error.to_string())
    }

    #[test]
    fn every_version_of_the_chain_is_made_the_newest_step_by_step() {
        assert_eq!(Fourth::versions(), [4, 3, 1]);
        let (old, new) = (br#"{"id": "4711"}"#, br#"{"payment": "4711", "steps": [9]}"#);
        assert_eq!(steps(Some(1), old).unwrap(), [3]);
        assert!(steps(Some(3), old).unwrap().is_empty());
        assert_eq!(steps(Some(4), new).unwrap(), [9]);
        for version in [2, 5] {
            let error = steps(Some(version), old).unwrap_err();
            assert!(error.contains(&format!("of version {version}")), "{error}");
            assert!(error.ends_with("versions 4, 3 and 1"), "{error}");
        }
        // Not read as something that it is not.
        assert!(steps(Some(4), old).is_err() && steps(Some(1), new).is_err());
    }

    #[test]
    fn a_body_without_a_version_is_the_newest_that_it_fits() {
        let new = br#"{"payment": "4711", "steps": [9]}"#;
        assert_eq!(steps(None, new).unwrap(), [9]);
        // It fits version 3 before it fits version 1.
        assert!(steps(None, br#"{"id": "4711"}"#).unwrap().is_empty());
        let error = steps(None, br#"{"order": "4711"}"#).unwrap_err();
        assert!(error.contains("missing field `payment`"), "{error}");
    }
}
