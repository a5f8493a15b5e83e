//! `or_retry` without its trait.

mod common;
use common::*;
use laban::Failure;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, Failure> {
    std::fs::read(&order.order_id).or_retry()?;
    Ok(PaymentCaptured { order_id: order.order_id })
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
