//! The events that the cases are about.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
pub struct OrderPlaced {
    pub order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
pub struct PaymentCaptured {
    pub order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.declined", version = 1, flow = order_id)]
pub struct PaymentDeclined {
    pub order_id: String,
}
