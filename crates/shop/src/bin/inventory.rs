//! The inventory service.

use shop::inventory;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    inventory::run(&Settings::from_env()?).await
}
