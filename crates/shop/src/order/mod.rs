//! The order service is where a flow begins, over HTTP, and where it ends.

mod close;
mod give_up;
mod http;
mod idempotency;
mod problem;
mod request;
mod trace;

use std::time::Duration;

use laban::{Error, Handler as _, Service};

use crate::events::OrderPlaced;
use crate::settings::{OF_ORDERS, Settings, told_of};

pub use close::{Ending, Report, Standing, close};
pub use give_up::{PaymentAnswered, give_up};
pub use idempotency::IdempotencyKey;
pub use request::{Invalid, LineRequest, OrderRequest, limits};

/// The service. A payment may take so long to answer.
pub fn service(payment_deadline: Duration) -> Service {
    let give_up = give_up.unless::<PaymentAnswered>(payment_deadline);
    Service::new("order").version(env!("CARGO_PKG_VERSION")).on(close).on(give_up).emits::<OrderPlaced>()
}

/// Takes orders until the service stops; then answers what was asked, and drains.
///
/// # Errors
/// When the address cannot be bound or no longer be served, the service does not start, or the drain does not finish in time.
pub async fn run(settings: &Settings) -> laban::Result<()> {
    let service = told_of(service(settings.payment_deadline), &OF_ORDERS).command_line();
    // An address that is taken is found before anything else is started.
    let listener = http::bind(settings).await?;
    let running = match service.start().await {
        // Nothing was begun, so there is nothing to finish.
        Err(Error::Stopped { .. }) => return Ok(()),
        started => started?,
    };
    http::announce(&listener, settings)?;
    http::serve(listener, &running);
    running.wait().await
}
