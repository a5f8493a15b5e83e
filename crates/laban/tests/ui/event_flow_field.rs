//! Flow fields that are not there, or have no text.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct OrderId(u64);

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = id)]
struct NoSuchField {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.cancelled", version = 1, flow = order_id)]
struct WithoutDisplay {
    order_id: OrderId,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.returned", version = 1, flow = "order_id")]
struct InQuotes {
    order_id: String,
}

fn main() {}
