//! A generic event.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct OrderPlaced<T> {
    order_id: String,
    lines: T,
}

fn main() {}
