//! One service of the shop with failpoints in it: which one, `SHOP_SERVICE` says, and what goes wrong, `LABAN_FAULTS`. Its
//! arguments are those of any service.

use laban_tests::Outcome;
use shop::settings::Settings;
use shop::{inventory, notification, order, payment, shipping};

#[tokio::main]
async fn main() -> Outcome {
    let service = std::env::var("SHOP_SERVICE").unwrap_or_default();
    let settings = Settings::from_env()?;
    match service.as_str() {
        "order" => order::run(&settings).await?,
        "payment" => payment::run(&settings).await?,
        "inventory" => inventory::run(&settings).await?,
        "shipping" => shipping::run().await?,
        "notification" => notification::run(&settings).await?,
        _ => {
            let usage = "SHOP_SERVICE is one of order, payment, inventory, shipping, notification";
            return Err(usage.into());
        }
    }
    Ok(())
}
