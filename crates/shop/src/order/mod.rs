//! The order service is where a flow begins, over HTTP, and where it ends.

mod close;
mod http;
mod idempotency;
mod problem;
mod request;
mod trace;

use laban::{BoxError, Service};

use crate::events::OrderPlaced;
use crate::settings::Settings;

pub use close::{Ending, Fact, Report, Standing, close};
pub use idempotency::IdempotencyKey;
pub use request::{Invalid, LineRequest, OrderRequest, limits};

/// The service.
pub fn service() -> Service {
    Service::new("order").on(close).emits::<OrderPlaced>()
}

/// Takes orders until the service stops; then answers what was asked, and drains.
///
/// # Errors
/// When the address cannot be bound, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> Result<(), BoxError> {
    // An address that is taken is found before anything else is started.
    let listener = http::bind(settings).await?;
    let running = service().start().await?;
    http::announce(&listener, settings)?;
    let too_late = http::too_late(running.stopping());
    let taking_orders = http::serve(listener, running.emitter(), running.stopping(), too_late);
    let (served, drained) = tokio::join!(taking_orders, running.wait());
    served?;
    Ok(drained?)
}
