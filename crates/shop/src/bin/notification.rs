//! The notification service.

use shop::notification::{self, Outbox};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    let outbox = Outbox::open(&Settings::from_env()?)?;
    notification::service(outbox).run().await
}
