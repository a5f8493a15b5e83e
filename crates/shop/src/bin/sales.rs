//! The sales report.

use shop::sales;
use shop::settings::Settings;

#[tokio::main]
async fn main() -> laban::Result<()> {
    sales::run(&Settings::from_env()?).await
}
