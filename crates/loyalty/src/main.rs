//! The loyalty service.

#[tokio::main]
async fn main() -> laban::Result<()> {
    loyalty::service().run().await
}
