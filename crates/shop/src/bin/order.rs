//! The order service.

use shop::order;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    order::run(&Settings::from_env()?).await
}
