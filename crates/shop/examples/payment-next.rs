//! The next release of the payment service: its charges say by which terminal they were made, and it has one more handler,
//! which files the receipt of each order that ended well. It stands beside the present release while instances are replaced.
//!
//! What may differ between two releases that stand side by side, and what may not, is in docs/operations.md.

use laban::{Cause, Event, Failure, Handler as _, Service, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop::events::{OrderCompleted, OrderId, OrderPlaced, PaymentCaptured, PaymentDeclined};
use shop::payment::{self, Books};
use shop::settings::Settings;

/// The card was charged. The same event in the same version: who knows nothing of the new field reads it as before.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
struct CapturedAt {
    order_id: OrderId,
    customer: String,
    amount_cents: u64,
    /// New, and optional: charges of the release before this one have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terminal: Option<String>,
}

/// As the present release charges. The name is kept: what that has done is done for this one as well.
async fn charge(
    order: OrderPlaced,
    books: State<Books>,
    cause: Cause,
) -> Result<Option<CapturedAt>, Failure<PaymentDeclined>> {
    let charged = payment::charge(order, books, cause).await?;
    Ok(charged.map(|PaymentCaptured { order_id, customer, amount_cents }| CapturedAt {
        order_id,
        customer,
        amount_cents,
        terminal: Some("next".to_owned()),
    }))
}

/// File the receipt. A new handler reads history from the start.
async fn file(completed: OrderCompleted) {
    tracing::debug!(order_id = %completed.order_id, "receipt filed");
}

#[tokio::main]
async fn main() -> laban::Result<()> {
    let settings = Settings::from_env()?;
    Service::new("payment")
        .version("0.2.0")
        .state_with(async move || Books::open(&settings))
        .on(charge)
        .on(payment::void)
        .on(payment::refund.compensates::<PaymentCaptured>())
        .on(file)
        .run()
        .await
}
