//! An attribute with a key that is not known, a key that is missing, and more than one of it.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, key = order_id)]
struct Unknown {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", flow = order_id)]
struct Missing {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1)]
#[event(flow = order_id)]
struct Twice {
    order_id: String,
}

fn main() {}
