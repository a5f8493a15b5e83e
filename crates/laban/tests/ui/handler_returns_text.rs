//! A handler that returns something that is not an event.

mod common;
use common::*;

async fn charge(order: OrderPlaced) -> String {
    order.order_id
}

fn main() {
    let _ = laban::Service::new("payment").on(charge);
}
