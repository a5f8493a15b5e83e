//! A service with an effect outside of the mesh, which dies over the first: `effect-outside <ledger>` appends the
//! idempotency key of each run to the file, and is gone before the commit if it is the first there.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use laban::{Cause, Failure, OrRetry as _, Service, State};
use laban_tests::Outcome;
use laban_tests::small::{OrderPlaced, PaymentCaptured};

#[tokio::main]
async fn main() -> Outcome {
    let ledger = std::env::args().nth(1).map(PathBuf::from).ok_or("usage: effect-outside <ledger>")?;
    Service::new("payment").state(ledger).on(charge).own_arguments().run().await?;
    Ok(())
}

async fn charge(
    order: OrderPlaced,
    ledger: State<PathBuf>,
    cause: Cause,
) -> Result<PaymentCaptured, Failure> {
    let first = std::fs::metadata(&*ledger).map_or(0, |file| file.len()) == 0;
    let mut file = OpenOptions::new().create(true).append(true).open(&*ledger).or_retry()?;
    writeln!(file, "{}", cause.idempotency_key).or_retry()?;
    if first {
        std::process::abort();
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}
