//! What the services tell each other. They share these types and nothing else.
//!
//! Every event says which order it is about, and whose: no service has to ask another.

use std::fmt;

use laban::{Event, FlowId, InvalidFlowId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which order. Any text of 1 to 256 bytes; it is also the key of the order's flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct OrderId(String);

impl OrderId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OrderId {
    type Error = InvalidFlowId;
    fn try_from(id: String) -> Result<Self, InvalidFlowId> {
        FlowId::new(&id)?;
        Ok(Self(id))
    }
}

impl From<OrderId> for String {
    fn from(id: OrderId) -> Self {
        id.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub unit_price_cents: u64,
}

/// Goods in the warehouse or in a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u64,
}

/// Goods that the warehouse does not have enough of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// What.
    pub sku: String,
    /// How many were ordered.
    pub wanted: u64,
    /// How many are free; 0 too for what the warehouse has never heard of.
    pub available: u64,
}

/// A customer placed an order: the flow begins.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
pub struct OrderPlaced {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// The payment provider's token for a card; never a card number.
    pub card: String,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// What it costs.
    pub total_cents: u64,
}

/// The payment has not answered in time.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.payment-overdue", version = 1, flow = order_id)]
pub struct PaymentOverdue {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
}

/// The card was charged.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
pub struct PaymentCaptured {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// How much.
    pub amount_cents: u64,
}

/// The card was not charged, and will not be.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.declined", version = 1, flow = order_id)]
pub struct PaymentDeclined {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// Why.
    pub reason: DeclineReason,
}

/// Why a card was not charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// Nothing may be charged to it.
    CardBlocked,
    /// So much may not be charged to it.
    OverLimit,
    /// There was no need to: the goods were known to be missing.
    OutOfStock,
    /// The bank had not answered in time.
    Overdue,
}

/// The money was given back.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.refunded", version = 1, flow = order_id)]
pub struct PaymentRefunded {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// How much.
    pub amount_cents: u64,
}

/// The goods were set aside.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "inventory.reserved", version = 1, flow = order_id)]
pub struct StockReserved {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// Which goods.
    pub items: Vec<Item>,
}

/// The goods were not set aside, and will not be.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "inventory.rejected", version = 1, flow = order_id)]
pub struct StockRejected {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// Why.
    pub reason: RejectReason,
    /// Which goods there are not enough of.
    pub missing: Vec<Missing>,
}

/// Why goods were not set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// There are not enough.
    OutOfStock,
    /// There was no need to: the payment was known to be declined.
    PaymentDeclined,
}

/// The goods are for others again.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "inventory.released", version = 1, flow = order_id)]
pub struct StockReleased {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// Which goods.
    pub items: Vec<Item>,
}

/// A parcel left the house.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "shipping.dispatched", version = 1, flow = order_id)]
pub struct ParcelDispatched {
    /// Which order.
    pub order_id: OrderId,
    /// To whom.
    pub customer: String,
    /// What is in it.
    pub items: Vec<Item>,
}

/// The order ended well: paid, and on its way.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.completed", version = 1, flow = order_id)]
pub struct OrderCompleted {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
}

/// The order ended with nothing sent and nothing kept of the customer's money.
#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.cancelled", version = 1, flow = order_id)]
pub struct OrderCancelled {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub customer: String,
    /// Why.
    pub reason: CancelReason,
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The card could not be charged.
    PaymentDeclined,
    /// The bank did not answer in time.
    PaymentOverdue,
    /// The goods were missing.
    OutOfStock,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_is_any_text_that_can_key_a_flow() {
        for id in ["4711", "a.b *>c", "🦀", "\r\n"] {
            let json = serde_json::to_string(id).unwrap();
            let parsed: OrderId = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed.as_str(), id);
            assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
        }
        for id in [String::new(), "x".repeat(257)] {
            assert!(OrderId::try_from(id).is_err());
        }
    }
}
