//! The payment service.

use std::process::ExitCode;

use laban::BoxError;
use shop::payment::{self, Books};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    shop::exit("payment", run().await)
}

async fn run() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    let books = Books::open(&settings)?;
    Ok(payment::service(books).run().await?)
}
