//! A handler whose error is not a `Failure`.

mod common;
use common::*;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, std::io::Error> {
    Ok(PaymentCaptured { order_id: order.order_id })
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
