//! A handler whose failure event is not wrapped in a `Failure`.

mod common;
use common::*;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, PaymentDeclined> {
    Err(PaymentDeclined { order_id: order.order_id })
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
