//! A union.

use laban::Event;

#[derive(Event)]
#[event(name = "order.placed", version = 1, flow = order_id)]
union OrderPlaced {
    order_id: u64,
}

fn main() {}
