//! One service, in a process of its own: `life-of-a-service run` runs it until it is asked to stop.

use laban_tests::{Outcome, small};

#[tokio::main]
async fn main() -> Outcome {
    let way = std::env::args().nth(1).unwrap_or_default();
    let service = small::service("one").ok_or("there is no service that emits one event")?;
    match way.as_str() {
        "run" => service.run().await?,
        other => return Err(format!("no such way to live: {other:?}").into()),
    }
    Ok(())
}
