//! The payment service.

use shop::payment;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    payment::run(&Settings::from_env()?).await
}
