//! A handler that holds on to something of one thread while it waits.

mod common;
use common::*;

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    let count = std::rc::Rc::new(1);
    std::future::ready(()).await;
    PaymentCaptured { order_id: format!("{}{count}", order.order_id) }
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
