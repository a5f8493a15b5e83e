//! One service, started and ended in the way that it is told: what the suites `starting` and `signals` send signals to.
//!
//! | `life-of-a-service` | |
//! |---|---|
//! | `run` | runs until it is asked to stop |
//! | `start-then-wait` | starts, waits until it hears of a stop, and only then waits for the drain |
//! | `two` | two services, waited for one after the other; the first one takes its time to stop |
//! | `start-only` | starts, and never waits |
//! | `start-then-drop` | starts, drops the service, and goes on |
//! | `own-signals` | starts and leaves signals alone |

use std::future::pending;
use std::time::Duration;

use laban::{Error, Running, Service};
use laban_tests::Outcome;
use laban_tests::small::{self, OrderPlaced};

#[tokio::main]
async fn main() -> Outcome {
    let way = std::env::args().nth(1).unwrap_or_default();
    let service = small::service("one").ok_or("there is no service that emits one event")?;
    match way.as_str() {
        "run" => service.own_arguments().run().await?,
        "start-then-wait" => {
            let Some(running) = started(service).await? else { return Ok(()) };
            running.stopping().await;
            running.wait().await?;
        }
        "two" => {
            let (Some(first), Some(second)) = (started(service).await?, started(other()).await?) else {
                return Ok(());
            };
            let stopping = first.stopping();
            first.spawn(async move {
                stopping.await;
                tokio::time::sleep(LONG).await;
                Ok(())
            });
            first.wait().await?;
            second.wait().await?;
        }
        "start-only" => {
            let _running = started(service).await?;
            pending().await
        }
        "start-then-drop" => {
            drop(started(service).await?);
            tracing::info!("dropped");
            pending().await
        }
        "own-signals" => {
            let _running = started(service.own_signals()).await?;
            pending().await
        }
        other => return Err(format!("no such way to live: {other:?}").into()),
    }
    Ok(())
}

/// Longer than a program has that waits for nothing.
const LONG: Duration = Duration::from_secs(8);

fn other() -> Service {
    Service::new("order").emits::<OrderPlaced>()
}

/// Nothing when it was asked to stop before it had started.
async fn started(service: Service) -> laban::Result<Option<Running>> {
    match service.start().await {
        Ok(running) => Ok(Some(running)),
        Err(Error::Stopped { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
