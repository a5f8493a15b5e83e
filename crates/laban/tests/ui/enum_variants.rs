//! Enums of events whose variants do not hold one event each.

mod common;
use common::*;
use laban::Event;

#[derive(Event)]
enum TwoFields {
    Ended(PaymentCaptured, PaymentDeclined),
}

#[derive(Event)]
enum NoField {
    Captured(PaymentCaptured),
    Nothing,
}

#[derive(Event)]
enum Named {
    Captured { event: PaymentCaptured },
}

#[derive(Event)]
enum Empty {}

#[derive(Event)]
#[event(name = "payment.ended", version = 1, flow = order_id)]
enum WithAttribute {
    Captured(PaymentCaptured),
}

fn main() {}
