//! A service that begins flows with something that is not an event, and undoes what is none.

mod common;
use common::*;
use laban::Handler as _;

async fn release(_: PaymentDeclined) {}

fn main() {
    let _ = laban::Service::new("payment").emits::<String>().on(release.compensates::<u64>());
}
