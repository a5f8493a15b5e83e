//! A `Failure` of something that is not an event.

mod common;
use common::*;
use laban::Failure;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, Failure<String>> {
    Ok(PaymentCaptured { order_id: order.order_id })
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
