//! One order, what the services say about it, and what they remember of it, for tests.

use laban::{Cause, Event, Flow, FlowId, FlowState, Record};

use crate::events::*;
use crate::order::{Ending, Report};
use crate::shipping::Half;

const CUSTOMER: &str = "ada@example.com";

pub(crate) fn order_id() -> OrderId {
    "4711".to_owned().try_into().unwrap()
}

/// A cause that no handler has seen before.
pub(crate) fn cause() -> Cause {
    Cause::for_test(FlowId::new(order_id().as_str()).unwrap())
}

/// Two mugs and a grinder.
pub(crate) fn placed() -> OrderPlaced {
    let line = |sku: &str, quantity, unit_price_cents| Line { sku: sku.into(), quantity, unit_price_cents };
    OrderPlaced {
        order_id: order_id(),
        customer: CUSTOMER.into(),
        card: "visa".into(),
        lines: vec![line("mug", 2, 900), line("grinder", 1, 12_900)],
        total_cents: 14_700,
    }
}

fn items() -> Vec<Item> {
    [("grinder", 1), ("mug", 2)].map(|(sku, quantity)| Item { sku: sku.into(), quantity }).to_vec()
}

pub(crate) fn overdue() -> PaymentOverdue {
    PaymentOverdue { order_id: order_id(), customer: CUSTOMER.into() }
}

pub(crate) fn captured() -> PaymentCaptured {
    PaymentCaptured { order_id: order_id(), customer: CUSTOMER.into(), amount_cents: 14_700 }
}

pub(crate) fn declined(reason: DeclineReason) -> PaymentDeclined {
    PaymentDeclined { order_id: order_id(), customer: CUSTOMER.into(), reason }
}

pub(crate) fn refunded() -> PaymentRefunded {
    PaymentRefunded { order_id: order_id(), customer: CUSTOMER.into(), amount_cents: 14_700 }
}

pub(crate) fn reserved() -> StockReserved {
    StockReserved { order_id: order_id(), customer: CUSTOMER.into(), items: items() }
}

pub(crate) fn rejected(reason: RejectReason) -> StockRejected {
    StockRejected { order_id: order_id(), customer: CUSTOMER.into(), reason, missing: Vec::new() }
}

pub(crate) fn released() -> StockReleased {
    StockReleased { order_id: order_id(), customer: CUSTOMER.into(), items: items() }
}

pub(crate) fn dispatched() -> ParcelDispatched {
    ParcelDispatched { order_id: order_id(), customer: CUSTOMER.into(), items: items() }
}

pub(crate) fn completed() -> OrderCompleted {
    OrderCompleted { order_id: order_id(), customer: CUSTOMER.into() }
}

pub(crate) fn cancelled(reason: CancelReason) -> OrderCancelled {
    OrderCancelled { order_id: order_id(), customer: CUSTOMER.into(), reason }
}

/// The record of handling this event when nothing came of it.
pub(crate) fn handled(event: &impl Event) -> Record {
    Record::test_handled(event).unwrap()
}

/// The record of this event in its service's home stream.
pub(crate) fn emitted(event: &impl Event) -> Record {
    Record::test_emitted(event).unwrap()
}

impl Half {
    pub(crate) fn handled(&self) -> Record {
        match self {
            Self::Paid(event) => handled(event),
            Self::Reserved(event) => handled(event),
        }
    }
}

impl Report {
    pub(crate) fn handled(&self) -> Record {
        match self {
            Self::Declined(event) => handled(event),
            Self::Refunded(event) => handled(event),
            Self::Rejected(event) => handled(event),
            Self::Released(event) => handled(event),
            Self::Dispatched(event) => handled(event),
        }
    }
}

impl Ending {
    pub(crate) fn emitted(&self) -> Record {
        match self {
            Self::Completed(event) => emitted(event),
            Self::Cancelled(event) => emitted(event),
        }
    }
}

/// What a service knows of the order when these are its records of it.
pub(crate) fn so_far<S: FlowState>(records: &[Record]) -> Flow<S> {
    let mut state = S::default();
    for record in records {
        state.apply(record).unwrap();
    }
    Flow(state)
}
