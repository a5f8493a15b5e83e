//! An error that does not say whether it may pass.

mod common;
use common::*;
use laban::Failure;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, Failure<PaymentDeclined>> {
    std::fs::read(&order.order_id)?;
    Ok(PaymentCaptured { order_id: order.order_id })
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
