//! An event without its attribute.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
struct OrderPlaced {
    order_id: String,
}

fn main() {}
