//! The notification service.

use shop::notification;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    notification::run(&Settings::from_env()?).await
}
