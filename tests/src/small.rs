//! A small service that reacts in whatever way it is told to: what the failpoint suite troubles.

use std::time::Duration;

use laban::{BoxError, Cause, Event, Failure, Flow, FlowState, Handler as _, Record, Retry, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `payment` reacts to.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[event(name = "order.placed", version = 1, flow = order_id)]
pub struct OrderPlaced {
    /// The flow.
    pub order_id: String,
}

/// What `payment` emits, and `shipping` reacts to.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
pub struct PaymentCaptured {
    /// The flow.
    pub order_id: String,
}

/// The other half of what `shipping` reacts to, and what the deadlines of `payment` wait for.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[event(name = "inventory.reserved", version = 1, flow = order_id)]
pub struct StockReserved {
    /// The flow.
    pub order_id: String,
}

/// What `shipping` emits when both halves are there.
#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[event(name = "shipping.dispatched", version = 1, flow = order_id)]
pub struct ParcelDispatched {
    /// The flow.
    pub order_id: String,
}

/// The ways to react.
pub const WAYS: [&str; 8] = ["one", "three", "none", "retry", "dead", "late", "patient", "join"];

/// The service with the one handler that reacts in this way, and is called after it.
pub fn service(way: &str) -> Option<Service> {
    let payment = Service::new("payment");
    let soon = Retry { first_delay: Duration::from_millis(10), ..Retry::default() };
    Some(match way {
        "one" => payment.on(one),
        "three" => payment.on(three),
        "none" => payment.on(none),
        "retry" => payment.on(retry.retry(soon)),
        "dead" => payment.on(dead),
        "late" => payment.on(late.unless::<StockReserved>(Duration::from_millis(1))),
        "patient" => payment.on(patient.unless::<StockReserved>(Duration::from_secs(3600))),
        "join" => Service::new("shipping").on(join),
        _ => return None,
    })
}

/// The flow in which the second of three events is emitted.
pub fn other_flow(order_id: &str) -> String {
    format!("{order_id}-other")
}

async fn one(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

/// Two in the flow, one in another.
async fn three(order: OrderPlaced) -> Vec<PaymentCaptured> {
    let OrderPlaced { order_id } = order;
    let flows = [order_id.clone(), other_flow(&order_id), order_id];
    flows.map(|order_id| PaymentCaptured { order_id }).into()
}

async fn none(_: OrderPlaced) {}

/// Fails at the first attempt.
async fn retry(order: OrderPlaced, cause: Cause) -> Result<PaymentCaptured, Failure> {
    if cause.attempt == 1 {
        return Err(Failure::retry("not yet"));
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

/// Never takes it.
async fn dead(_: OrderPlaced) -> Result<PaymentCaptured, Failure> {
    Err(Failure::reject("not this one"))
}

/// When nothing was reserved at once.
async fn late(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

/// When nothing was reserved in an hour.
async fn patient(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

#[derive(Event)]
enum Half {
    Paid(PaymentCaptured),
    Reserved(StockReserved),
}

#[derive(Default)]
struct Parcel {
    paid: bool,
    reserved: bool,
    dispatched: bool,
}

impl FlowState for Parcel {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.paid |= record.handled::<PaymentCaptured>();
        self.reserved |= record.handled::<StockReserved>();
        self.dispatched |= record.has_emitted::<ParcelDispatched>();
        Ok(())
    }
}

/// Dispatches with the second half, whichever that is.
async fn join(half: Half, parcel: Flow<Parcel>) -> Option<ParcelDispatched> {
    let (other, order_id) = match half {
        Half::Paid(PaymentCaptured { order_id }) => (parcel.reserved, order_id),
        Half::Reserved(StockReserved { order_id }) => (parcel.paid, order_id),
    };
    (other && !parcel.dispatched).then_some(ParcelDispatched { order_id })
}
