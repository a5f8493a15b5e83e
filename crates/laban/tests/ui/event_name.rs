//! Names that are not `<service>.<event>`.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "OrderPlaced", version = 1, flow = order_id)]
struct InCapitals {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "shop.order.placed", version = 1, flow = order_id)]
struct OfThreeParts {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order._placed", version = 1, flow = order_id)]
struct LikeASystemRecord {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = order.placed, version = 1, flow = order_id)]
struct NotInQuotes {
    order_id: String,
}

fn main() {}
