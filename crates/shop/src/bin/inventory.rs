//! The inventory service.

use shop::inventory::{self, Books};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    let books = Books::open(&Settings::from_env()?)?;
    inventory::service(books).run().await
}
