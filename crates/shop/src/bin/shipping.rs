//! The shipping service.

use shop::shipping;

#[tokio::main]
async fn main() -> laban::Result<()> {
    shipping::run().await
}
