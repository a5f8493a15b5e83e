//! Versions that are none.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 0, flow = order_id)]
struct Zero {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = "1.0", flow = order_id)]
struct Text {
    order_id: String,
}

fn main() {}
