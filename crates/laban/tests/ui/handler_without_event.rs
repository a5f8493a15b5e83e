//! A handler whose first argument is not an event.

mod common;
use common::*;

async fn charge(amount_cents: u64) -> PaymentCaptured {
    PaymentCaptured { order_id: amount_cents.to_string() }
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
