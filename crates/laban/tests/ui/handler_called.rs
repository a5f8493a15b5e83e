//! A handler that is called instead of named.

mod common;
use common::*;

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let order = OrderPlaced { order_id: "4711".to_owned() };
    let _ = laban::Service::new("payment").on(charge(order));
}
