//! The shipping service.

use std::process::ExitCode;

use laban::BoxError;
use shop::shipping;

#[tokio::main]
async fn main() -> ExitCode {
    shop::exit("shipping", run().await)
}

async fn run() -> Result<(), BoxError> {
    Ok(shipping::service().run().await?)
}
