//! A handler with something to extract before its event.

mod common;
use common::*;
use laban::State;

#[derive(Clone)]
struct Bank;

async fn charge(_: State<Bank>, order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

fn main() {
    let _ = laban::Service::new("payment").state(Bank).on(charge);
}
