//! Events that lack one of their three other derives.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct WithoutSerialize {
    order_id: String,
}

#[derive(Event, Serialize, JsonSchema)]
#[event(name = "order.completed", version = 1, flow = order_id)]
struct WithoutDeserialize {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(name = "order.cancelled", version = 1, flow = order_id)]
struct WithoutSchema {
    order_id: String,
}

fn main() {}
