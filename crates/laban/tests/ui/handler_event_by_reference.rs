//! A handler that takes its event by reference.

mod common;
use common::*;

async fn charge(order: &OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id.clone() }
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
