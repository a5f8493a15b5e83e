//! The order service.

use std::process::ExitCode;

use laban::BoxError;
use shop::order;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    shop::exit("order", run().await)
}

async fn run() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    order::run(&settings).await
}
