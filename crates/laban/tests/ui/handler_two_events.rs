//! A handler that takes two events.

mod common;
use common::*;

async fn charge(order: OrderPlaced, _: PaymentDeclined) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
