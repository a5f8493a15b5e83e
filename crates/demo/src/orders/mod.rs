//! Orders, and what should come of them.

mod malformed;
mod place;
mod plan;

use laban_wire::FlowId;
use serde::Serialize;
use shop::events::CancelReason;
use shop::order::IdempotencyKey;

pub use place::{Answer, Placed, Taken, place, send};
pub use plan::Plan;

/// An order, with what should come of it.
#[derive(Clone, Debug)]
pub struct Order {
    /// What kind of order it is, in words.
    pub what: String,
    /// What is sent, one after the other; mostly one.
    pub requests: Vec<Request>,
    /// How its flow should end; nothing when there should be none.
    pub ending: Option<Ending>,
    /// What it costs.
    pub total_cents: u64,
}

/// How a flow should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With `order.completed`.
    Completed,
    /// With `order.cancelled`, for this reason; for nothing: what comes first decides.
    Cancelled(Option<CancelReason>),
    /// Several compete for goods that are not enough for all.
    Contended,
}

/// One request to the shop's front door.
#[derive(Clone, Debug)]
pub struct Request {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// What should be answered.
    pub expected: Expected,
}

impl Request {
    /// The flow that it begins if it is taken: what is to be looked for when no answer came.
    pub fn flow(&self) -> Option<FlowId> {
        if let Some(key) = &self.idempotency_key {
            return FlowId::new(IdempotencyKey::parse(key.as_bytes())?.order_id().as_str()).ok();
        }
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        FlowId::new(body.get("order_id")?.as_str()?).ok()
    }
}

/// What the shop should answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// 202: the order is taken, or was before.
    Taken,
    /// The order is refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `code` of the error.
        code: &'static str,
    },
}

/// The body of a well-formed request.
#[derive(Clone, Debug, Serialize)]
pub struct Body {
    /// The client's own id for the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// Who orders.
    pub customer: String,
    /// The card.
    pub card: String,
    /// What is ordered.
    pub lines: Vec<Line>,
}

/// A line of [`Body`].
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What.
    pub sku: &'static str,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub unit_price_cents: u64,
}

impl Body {
    /// A request for it that should be taken.
    pub fn request(&self, idempotency_key: Option<&str>) -> Request {
        Request {
            content_type: "application/json",
            idempotency_key: idempotency_key.map(str::to_owned),
            // Plain values: they serialize.
            body: serde_json::to_vec(self).unwrap_or_default(),
            expected: Expected::Taken,
        }
    }

    /// What it costs.
    pub fn total_cents(&self) -> u64 {
        self.lines.iter().map(|line| line.unit_price_cents * u64::from(line.quantity)).sum()
    }
}
