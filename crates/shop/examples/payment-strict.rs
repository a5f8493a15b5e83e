//! A build of the payment service with a changed rule: no order is charged more than 1,000.00, whatever the bank allows.
//!
//! What would that have changed? With a shop that has run for a while:
//!
//! ```sh
//! cargo build -p shop --examples
//! laban replay shadow --service payment -- target/debug/examples/payment-strict
//! ```

use shop::payment::{self, Rule};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    payment::run_under(&Settings::from_env()?, Rule { most_cents: 100_000 }).await
}
