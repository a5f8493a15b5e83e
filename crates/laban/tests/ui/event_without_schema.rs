//! An event with a field that has no JSON Schema.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Cents(u64);

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct OrderPlaced {
    order_id: String,
    total: Cents,
}

fn main() {}
