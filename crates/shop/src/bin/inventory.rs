//! The inventory service.

use std::process::ExitCode;

use laban::BoxError;
use shop::inventory::{self, Books};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    shop::exit("inventory", run().await)
}

async fn run() -> Result<(), BoxError> {
    let settings = Settings::from_env()?;
    let books = Books::open(&settings)?;
    Ok(inventory::service(books).run().await?)
}
