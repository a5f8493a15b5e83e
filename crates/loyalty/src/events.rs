//! What loyalty hears from others, as far as it wants to know, and what it says itself.
//!
//! The first two are events of the service `order`, written down here a second time. Another team's crate is not needed for
//! that: the name, the version, the field that is the flow, and the fields that are read. What else the body has is skipped.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An order was placed. What was ordered, and by which card it is paid, is none of our business.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
pub struct OrderPlaced {
    /// Which order.
    pub order_id: String,
    /// Whose.
    pub customer: String,
    /// What it costs.
    pub total_cents: u64,
}

/// The order ended well: paid, and on its way. It is never undone, so neither are points.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.completed", version = 1, flow = order_id)]
pub struct OrderCompleted {
    /// Which order.
    pub order_id: String,
}

/// A customer has earned points for an order.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "loyalty.points-earned", version = 1, flow = order_id)]
pub struct PointsEarned {
    /// For which order.
    pub order_id: String,
    /// Whose they are.
    pub customer: String,
    /// How many.
    pub points: u64,
}
