//! A handler that takes shared state without saying `State`.

mod common;
use common::*;

#[derive(Clone)]
struct Bank;

async fn charge(order: OrderPlaced, _: Bank) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let _ = laban::Service::new("payment").state(Bank).on(charge);
}
