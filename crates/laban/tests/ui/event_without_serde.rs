//! An event without its three other derives.

use laban::Event;

#[derive(Event)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct OrderPlaced {
    order_id: String,
}

fn main() {}
