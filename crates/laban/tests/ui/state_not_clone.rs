//! Shared state that cannot be cloned.

mod common;
use common::*;
use laban::State;

struct Bank;

async fn charge(order: OrderPlaced, _: State<Bank>) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let _ = laban::Service::new("payment").state(Bank).on(charge);
}
