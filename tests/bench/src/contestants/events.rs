//! The events of the chain: about 300 bytes of JSON, the same for every contestant.

use laban::Event;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What each event carries.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    /// The flow.
    pub(crate) id: String,
    /// Who ordered.
    pub(crate) customer: String,
    /// What it costs in all.
    pub(crate) total_cents: u64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// When it was ordered.
    pub(crate) placed_at: String,
    /// What was ordered.
    pub(crate) lines: Vec<Line>,
    /// Where it goes.
    pub(crate) address: Address,
}

/// One article.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    /// The article.
    pub(crate) sku: String,
    /// How many.
    pub(crate) quantity: u32,
    /// What one costs.
    pub(crate) price_cents: u64,
}

/// Where an order goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Address {
    /// Street and number.
    pub(crate) street: String,
    /// City.
    pub(crate) city: String,
    /// Post code.
    pub(crate) zip: String,
}

impl Order {
    /// An order for this flow.
    pub(crate) fn sample(id: String) -> Self {
        let line = |sku: &str, quantity, price_cents| Line { sku: sku.to_owned(), quantity, price_cents };
        Self {
            id,
            customer: "customer-81734".to_owned(),
            total_cents: 10_780,
            currency: "EUR".to_owned(),
            placed_at: "2026-11-21T09:15:02Z".to_owned(),
            lines: vec![line("pointe-shoes-38", 2, 4_490), line("rosin", 3, 600)],
            address: Address {
                street: "Rue de la Danse 4".to_owned(),
                city: "Lyon".to_owned(),
                zip: "69001".to_owned(),
            },
        }
    }
}

macro_rules! event {
    ($(#[$doc:meta])* $type:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Event, Serialize, Deserialize, JsonSchema)]
        #[event(name = $name, version = 1, flow = order.id)]
        pub(crate) struct $type {
            /// What it is about.
            pub(crate) order: Order,
        }
    };
}

event!(
    /// Where flows begin.
    OrderPlaced, "order.placed"
);
event!(
    /// After the first handler.
    PaymentCaptured, "payment.captured"
);
event!(
    /// After the second handler.
    StockReserved, "inventory.reserved"
);
event!(
    /// After the third handler.
    ParcelDispatched, "shipping.dispatched"
);
event!(
    /// Where flows end.
    InvoiceIssued, "invoice.issued"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_about_300_bytes() {
        let event = OrderPlaced { order: Order::sample("f-0123456789abcdef".to_owned()) };
        let bytes = serde_json::to_vec(&event).unwrap().len();
        assert!((290..=330).contains(&bytes), "{bytes}");
    }
}
