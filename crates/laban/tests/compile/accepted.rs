//! What must compile: every shape of handler, outcome and event that the documentation promises.

use laban::{
    BoxError, Cause, Event, Failure, Flow, FlowState, Handler as _, OrRetry as _, Record, Retry, Service,
    State,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = order_id)]
struct OrderPlaced {
    order_id: String,
}

/// A key of any type with `Display`, in a field of a field; a trailing comma.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 2, flow = order.id,)]
struct PaymentCaptured {
    order: Order,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    id: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.declined", version = 1, flow = order_id)]
struct PaymentDeclined {
    order_id: String,
}

#[derive(Event)]
enum Ended {
    Captured(PaymentCaptured),
    Declined(PaymentDeclined),
}

#[derive(Clone)]
struct Bank;

#[derive(Default)]
struct Account {
    captured: bool,
}

impl FlowState for Account {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.captured |= record.handled::<OrderPlaced>();
        Ok(())
    }
}

fn captured() -> PaymentCaptured {
    PaymentCaptured { order: Order { id: 4711 } }
}

async fn nothing(_: OrderPlaced) {}

async fn one(_: OrderPlaced) -> PaymentCaptured {
    captured()
}

async fn perhaps(_: OrderPlaced) -> Option<PaymentCaptured> {
    None
}

async fn many(_: OrderPlaced) -> Vec<Ended> {
    vec![Ended::Captured(captured())]
}

async fn both(order: OrderPlaced) -> (PaymentCaptured, Option<PaymentDeclined>) {
    (captured(), Some(PaymentDeclined { order_id: order.order_id }))
}

async fn either(order: OrderPlaced) -> Ended {
    Ended::Declined(PaymentDeclined { order_id: order.order_id })
}

/// Success, a failure that is a fact, an error that may pass, one that will not.
async fn three_ends(order: OrderPlaced, _: State<Bank>) -> Result<PaymentCaptured, Failure<PaymentDeclined>> {
    let cents: u64 = order.order_id.parse::<u64>().or_reject()?;
    std::fs::metadata("/").or_retry()?;
    match cents {
        0 => Err(PaymentDeclined { order_id: order.order_id })?,
        1 => Err(PaymentDeclined { order_id: order.order_id }.into()),
        2 => Err(Failure::retry("later")),
        3 => Err(Failure::reject("never")),
        _ => Ok(captured()),
    }
}

async fn no_failure_event(_: OrderPlaced) -> Result<(), Failure> {
    Ok(())
}

async fn an_enum(ended: Ended, account: Flow<Account>, cause: Cause) {
    if let Ended::Captured(captured) = ended {
        assert!(account.captured || captured.order.id > 0 || cause.attempt > 0);
    }
}

async fn seven(
    _: OrderPlaced,
    _: State<Bank>,
    _: Flow<Account>,
    _: Cause,
    _: State<Bank>,
    _: Cause,
    _: State<Bank>,
) {
}

#[test]
fn every_promised_shape_compiles() {
    let fee = 3;
    let contract = Service::new("payment")
        .state(Bank)
        .emits::<PaymentDeclined>()
        .on(nothing)
        .on(one)
        .on(perhaps)
        .on(many)
        .on(both)
        .on(either)
        .on(three_ends)
        .on(no_failure_event)
        .on(an_enum)
        .on(seven.compensates::<PaymentCaptured>().retry(Retry::never()).concurrency(1))
        .on(one
            .named("with_options")
            .skip_history()
            .timeout(std::time::Duration::from_secs(1))
            .at_least_once())
        .on((async |_: OrderPlaced| {}).named("closure"))
        .on((move |_: OrderPlaced| async move { assert_eq!(fee, 3) }).named("closure_of_a_block"))
        .contract()
        .unwrap();
    let names: Vec<&str> = contract.handlers.iter().map(|handler| handler.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"nothing"));
    assert_eq!(names.last(), Some(&"closure_of_a_block"));
}
