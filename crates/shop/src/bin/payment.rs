//! The payment service.

use shop::payment::{self, Books};
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    let books = Books::open(&Settings::from_env()?)?;
    payment::service(books).run().await
}
