//! A handler that is not `async`.

mod common;
use common::*;

fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
