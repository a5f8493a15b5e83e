//! An enum of something that is not an event.

mod common;
use common::*;
use laban::Event;

#[derive(Event)]
enum Ended {
    Captured(PaymentCaptured),
    Declined(String),
}

fn main() {}
