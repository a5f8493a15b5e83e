//! One service of the shop with failpoints in it: `shop-with-faults <service>`. What goes wrong, `LABAN_FAULTS` says.

use laban_tests::Outcome;
use shop::settings::Settings;
use shop::{inventory, notification, order, payment, shipping};

#[tokio::main]
async fn main() -> Outcome {
    let service = std::env::args().nth(1).unwrap_or_default();
    let settings = Settings::from_env()?;
    match service.as_str() {
        "order" => order::run(&settings).await?,
        "payment" => payment::run(&settings).await?,
        "inventory" => inventory::run(&settings).await?,
        "shipping" => shipping::run().await?,
        "notification" => notification::run(&settings).await?,
        _ => {
            let usage = "usage: shop-with-faults order|payment|inventory|shipping|notification";
            return Err(usage.into());
        }
    }
    Ok(())
}
