//! What a case is given, and what must come of it.

use laban::{Event, EventId, FlowId};
use laban_tests::Outcome;
use laban_tests::small::{OrderPlaced, PaymentCaptured, StockReserved};
use laban_wire::{
    DEAD, Dead, DeadInput, DeadReason, EventType, HEADER, Meta, Millis, Payload, REDRIVE, Reaction, Redrive,
};

use crate::account::Given;
use crate::situation::Situation;

pub(crate) struct Script {
    /// What is given, one group after the other.
    pub(crate) groups: Vec<Vec<Given>>,
    pub(crate) expected: Vec<Expected>,
}

/// A reaction that must take effect once.
pub(crate) struct Expected {
    pub(crate) cause: EventId,
    pub(crate) handler: &'static str,
    pub(crate) flow: String,
    pub(crate) effect: Effect,
    /// Attempts on record before the case begins, and the last of those records.
    pub(crate) attempts_before: u32,
    pub(crate) seq_before: u64,
}

/// What a reaction leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// So many events, all or none.
    Events(usize),
    /// A `_handled` record.
    Handled,
    /// A `_dead` record.
    Dead,
    /// None at all.
    Nothing,
    /// The event of a join, or a `_handled` record: one of each in a flow.
    Half,
}

impl Script {
    /// For one flow. Situations without a cause are given nothing.
    pub(crate) fn of(situation: Situation, flow: &str) -> Outcome<Self> {
        if situation == Situation::Join {
            return Self::of_join(flow);
        }
        let order = Cause::new(&OrderPlaced { order_id: flow.to_owned() })?;
        let handler = situation.way();
        let effect = match situation {
            Situation::ThreeEvents => Effect::Events(3),
            Situation::NoEvent => Effect::Handled,
            Situation::DeadLetter => Effect::Dead,
            Situation::Answered | Situation::Stopped => Effect::Nothing,
            _ => Effect::Events(1),
        };
        let mut expected = order.expected(handler, effect);
        let groups = match situation {
            Situation::Begin | Situation::Emit => return Ok(Self { groups: vec![], expected: vec![] }),
            Situation::DoneElsewhere => {
                vec![vec![order.done_by(handler)?, order.given("payment_one_order_placed")]]
            }
            Situation::Redrive => {
                (expected.attempts_before, expected.seq_before) = (1, 2);
                vec![vec![order.dead_in(handler)?, order.redriven_to(handler)?]]
            }
            Situation::Overdue => vec![vec![order.given("payment_late_order_placed")]],
            Situation::Answered | Situation::Stopped => {
                let reserved = Cause::new(&StockReserved { order_id: flow.to_owned() })?;
                if situation == Situation::Answered {
                    let reserved = reserved.given("payment_late-unless_inventory_reserved");
                    vec![vec![reserved], vec![order.given("payment_late_order_placed")]]
                } else {
                    let reserved = reserved.given("payment_patient-unless_inventory_reserved");
                    vec![vec![order.given("payment_patient_order_placed")], vec![reserved]]
                }
            }
            Situation::ThreeEvents => vec![vec![order.given("payment_three_order_placed")]],
            Situation::NoEvent => vec![vec![order.given("payment_none_order_placed")]],
            Situation::Retry => vec![vec![order.given("payment_retry_order_placed")]],
            Situation::DeadLetter => vec![vec![order.given("payment_dead_order_placed")]],
            _ => vec![vec![order.given("payment_one_order_placed")]],
        };
        Ok(Self { groups, expected: vec![expected] })
    }

    fn of_join(flow: &str) -> Outcome<Self> {
        let paid = Cause::new(&PaymentCaptured { order_id: flow.to_owned() })?;
        let reserved = Cause::new(&StockReserved { order_id: flow.to_owned() })?;
        let expected = [&paid, &reserved].map(|half| half.expected("join", Effect::Half));
        let paid = paid.given("shipping_join_payment_captured");
        let reserved = reserved.given("shipping_join_inventory_reserved");
        Ok(Self { groups: vec![vec![paid], vec![reserved]], expected: expected.into() })
    }
}

/// An event that the service reacts to.
struct Cause {
    id: EventId,
    event: EventType,
    flow: String,
    body: Vec<u8>,
}

impl Cause {
    fn new<E: Event>(event: &E) -> Outcome<Self> {
        Ok(Self {
            id: EventId::root(),
            event: EventType::from_static(E::NAME),
            flow: event.flow_key(),
            body: serde_json::to_vec(event)?,
        })
    }

    fn expected(&self, handler: &'static str, effect: Effect) -> Expected {
        let flow = self.flow.clone();
        Expected { cause: self.id, handler, flow, effect, attempts_before: 0, seq_before: 0 }
    }

    fn given(&self, to: &'static str) -> Given {
        let (meta, body) = (Meta::root(self.id, 1), self.body.clone());
        Given { subject: self.subject(), meta, body, to: Some(to) }
    }

    fn subject(&self) -> String {
        format!("{}.{}", self.event, self.flow)
    }

    /// What another instance has written in reaction.
    fn done_by(&self, handler: &'static str) -> Outcome<Given> {
        let id = EventId::derived(self.id, "payment", handler, 0);
        let meta = Meta { id, version: Some(1), reaction: Some(self.reaction(handler)) };
        let body = serde_json::to_vec(&PaymentCaptured { order_id: self.flow.clone() })?;
        Ok(Given { subject: format!("payment.captured.{}", self.flow), meta, body, to: None })
    }

    /// The dead letter that an earlier attempt has left, the first record of all.
    fn dead_in(&self, handler: &'static str) -> Outcome<Given> {
        let body = Dead {
            reason: DeadReason::Rejected,
            error: "not this one".to_owned(),
            attempts: 1,
            fingerprint: "0".to_owned(),
            again: None,
            input: DeadInput {
                stream: "ORDER".to_owned(),
                seq: 1,
                subject: self.subject(),
                headers: [(HEADER.to_owned(), vec![Meta::root(self.id, 1).to_header()])].into(),
                payload: Some(Payload::of(&self.body)),
            },
        };
        self.record(DEAD, handler, serde_json::to_vec(&body)?, None)
    }

    /// An operator hands it back.
    fn redriven_to(&self, handler: &'static str) -> Outcome<Given> {
        let body = Redrive { dead_seq: 1, by: None, why: None, payload: None };
        self.record(REDRIVE, handler, serde_json::to_vec(&body)?, Some("payment__redrive"))
    }

    fn record(
        &self,
        name: &str,
        handler: &'static str,
        body: Vec<u8>,
        to: Option<&'static str>,
    ) -> Outcome<Given> {
        let flow = FlowId::new(&self.flow)?;
        let meta = Meta { id: EventId::root(), version: None, reaction: Some(self.reaction(handler)) };
        Ok(Given { subject: format!("payment.{name}.{}", flow.token()), meta, body, to })
    }

    fn reaction(&self, handler: &'static str) -> Reaction {
        Reaction {
            cause: self.id,
            on: self.event.clone(),
            handler: handler.into(),
            attempt: 1,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        }
    }
}
