//! What an event is made from: another event, a version that is not older, no way to make it, no event.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = id)]
struct OrderPlaced {
    id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.moved", version = 2, flow = id, from = OrderPlaced)]
struct OfAnotherName {
    id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = id, from = OrderPlaced)]
struct NotNewer {
    id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 2, flow = id, from = OrderPlaced)]
struct NoWay {
    id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 2, flow = id, from = String)]
struct FromText {
    id: String,
}

impl From<OrderPlaced> for OfAnotherName {
    fn from(old: OrderPlaced) -> Self {
        Self { id: old.id }
    }
}

impl From<OrderPlaced> for NotNewer {
    fn from(old: OrderPlaced) -> Self {
        Self { id: old.id }
    }
}

impl From<String> for FromText {
    fn from(id: String) -> Self {
        Self { id }
    }
}

fn main() {}
