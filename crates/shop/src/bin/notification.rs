//! The notification service.

use std::process::ExitCode;

use laban::BoxError;
use shop::notification::{self, Outbox};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    shop::exit("notification", run().await)
}

async fn run() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    let outbox = Outbox::open(&settings)?;
    Ok(notification::service(outbox).run().await?)
}
