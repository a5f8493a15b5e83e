//! Flow state that nobody said how to fold.

mod common;
use common::*;
use laban::Flow;

#[derive(Default)]
struct Parcel {
    paid: bool,
}

async fn dispatch(_: PaymentCaptured, parcel: Flow<Parcel>) {
    let _ = parcel.paid;
}

fn main() {
    let _ = laban::Service::new("shipping").on(dispatch);
}
