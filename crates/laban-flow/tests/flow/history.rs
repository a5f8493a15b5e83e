//! What services would have written, by hand: the wire format is the contract, so no service code takes part.

use std::collections::HashMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use laban_flow::{Deadline, Declared, Flow, Reactions, Since};
use laban_wire::{EventId, FlowId, HEADER, Meta, Reaction, Stored, TRACEPARENT, TraceParent};
use serde_json::json;
use time::{Duration, OffsetDateTime};

/// Messages of one flow, each a millisecond after the one before, in a stream per service.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) flow: FlowId,
    pub(crate) messages: Vec<Stored>,
    clock: OffsetDateTime,
    seqs: HashMap<String, u64>,
    ids: u64,
}

impl History {
    pub(crate) fn new(flow: &str) -> Self {
        Self {
            flow: flow.parse().unwrap(),
            messages: Vec::new(),
            clock: OffsetDateTime::from_unix_timestamp(1_793_000_000).unwrap(),
            seqs: HashMap::new(),
            ids: 0,
        }
    }

    /// The next message is this much later.
    pub(crate) fn pause(&mut self, ms: i64) -> &mut Self {
        self.clock += Duration::milliseconds(ms);
        self
    }

    pub(crate) fn store(&mut self, event: &str, headers: &[(&str, &str)], payload: &str) -> &mut Stored {
        let stream = event.split_once('.').unwrap().0.to_uppercase();
        let seq = self.seqs.entry(stream.clone()).or_insert(0);
        *seq += 1;
        self.clock += Duration::milliseconds(1);
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        self.messages.push(Stored {
            stream: stream.into(),
            seq: *seq,
            at: self.clock,
            subject: format!("{event}.{}", self.flow.token()),
            headers: map,
            malformed: None,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        });
        self.messages.last_mut().unwrap()
    }

    pub(crate) fn write(&mut self, event: &str, meta: &Meta, payload: &str) -> EventId {
        self.ids += 1;
        let trace = TraceParent { trace_id: 0x4bf9_2f35, span_id: self.ids, flags: 1 }.to_string();
        self.store(event, &[(HEADER, &meta.to_header()), (TRACEPARENT, &trace)], payload);
        meta.id
    }

    /// A flow's first event.
    pub(crate) fn root(&mut self, event: &str) -> EventId {
        let id: EventId = format!("0199f3c2-0000-7000-8000-{:012x}", self.ids + 1).parse().unwrap();
        self.write(event, &Meta::root(id, 1), "{}")
    }

    /// What the first attempt of a handler made.
    pub(crate) fn reaction(&mut self, event: &str, cause: EventId, on: &str, handler: &str) -> EventId {
        self.attempt(event, cause, on, handler, 1, "{}")
    }

    pub(crate) fn attempt(
        &mut self,
        event: &str,
        cause: EventId,
        on: &str,
        handler: &str,
        attempt: u32,
        body: &str,
    ) -> EventId {
        let service = event.split_once('.').unwrap().0;
        let id = EventId::derived(cause, service, handler, 0);
        self.under(id, event, cause, on, (handler, attempt), body)
    }

    /// What a handler made when it did something again on purpose: its id says nothing of the cause.
    pub(crate) fn reaction_under(
        &mut self,
        event: &str,
        cause: EventId,
        on: &str,
        handler: &str,
        attempt: u32,
        id: EventId,
    ) -> EventId {
        self.under(id, event, cause, on, (handler, attempt), "{}")
    }

    fn under(
        &mut self,
        id: EventId,
        event: &str,
        cause: EventId,
        on: &str,
        (handler, attempt): (&str, u32),
        body: &str,
    ) -> EventId {
        let meta = Meta {
            id,
            version: (!event.contains("._")).then_some(1),
            reaction: Some(Reaction {
                cause,
                on: on.parse().unwrap(),
                handler: handler.into(),
                attempt,
                queue_ms: "0.412".parse().unwrap(),
                handle_ms: "3.108".parse().unwrap(),
            }),
        };
        self.write(event, &meta, body)
    }

    pub(crate) fn retrying(&mut self, service: &str, cause: EventId, on: &str, handler: &str, attempt: u32) {
        let body = json!({
            "attempt": attempt, "error": "connection refused", "next_at": "2026-10-26T07:33:21.5Z"
        });
        let event = format!("{service}._retrying");
        self.attempt(&event, cause, on, handler, attempt, &body.to_string());
    }

    pub(crate) fn dead(&mut self, service: &str, cause: EventId, on: &str, handler: &str, attempt: u32) {
        let body = json!({
            "reason": "exhausted", "error": "connection refused", "attempts": attempt, "fingerprint": "f",
            "input": { "stream": "ORDER", "seq": 1, "subject": "order.placed.4711" },
        });
        self.attempt(&format!("{service}._dead"), cause, on, handler, attempt, &body.to_string());
    }

    pub(crate) fn flow(&self, reactions: &Reactions) -> Flow {
        Flow::from_messages(&self.flow, self.messages.clone(), reactions).expect("the flow has messages")
    }
}

pub(crate) fn declared(service: &str, handler: &str, on: &str, compensates: &[&str]) -> Declared {
    Declared {
        service: service.to_owned(),
        handler: handler.into(),
        on: on.parse().unwrap(),
        compensates: compensates.iter().map(|event| event.parse().unwrap()).collect(),
        emits: Vec::new(),
        since: Since::Ever,
        deadline: None,
        at_least_once: false,
    }
}

/// A handler that says that a payment does not answer, a minute after the order.
pub(crate) fn give_up() -> Declared {
    let unless = ["payment.captured", "payment.declined"].map(|event| event.parse().unwrap()).to_vec();
    let deadline = Some(Deadline { unless, within: std::time::Duration::from_secs(60) });
    Declared { deadline, ..declared("order", "give_up", "order.placed", &[]) }
}

/// Who reacts to what in the shop.
pub(crate) fn shop() -> Vec<Declared> {
    vec![
        declared("payment", "charge", "order.placed", &[]),
        declared("inventory", "reserve", "order.placed", &[]),
        declared("inventory", "release", "payment.declined", &["inventory.reserved"]),
        declared("payment", "refund", "inventory.rejected", &["payment.captured"]),
        declared("shipping", "dispatch", "payment.captured", &[]),
        declared("shipping", "dispatch", "inventory.reserved", &[]),
        declared("order", "close", "shipping.dispatched", &[]),
        declared("order", "cancel", "payment.declined", &[]),
    ]
}

/// An order that went well.
pub(crate) fn dispatched(flow: &str) -> History {
    let mut history = History::new(flow);
    let placed = history.root("order.placed");
    let captured = history.reaction("payment.captured", placed, "order.placed", "charge");
    let reserved = history.reaction("inventory.reserved", placed, "order.placed", "reserve");
    history.reaction("shipping._handled", captured, "payment.captured", "dispatch");
    let dispatched = history.reaction("shipping.dispatched", reserved, "inventory.reserved", "dispatch");
    history.reaction("order.completed", dispatched, "shipping.dispatched", "close");
    history
}

/// An order whose payment was declined after its stock was reserved.
pub(crate) fn cancelled(flow: &str) -> History {
    let mut history = History::new(flow);
    let placed = history.root("order.placed");
    let reserved = history.reaction("inventory.reserved", placed, "order.placed", "reserve");
    history.reaction("shipping._handled", reserved, "inventory.reserved", "dispatch");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    history.pause(200);
    let declined = history.attempt("payment.declined", placed, "order.placed", "charge", 2, "{}");
    history.reaction("order.cancelled", declined, "payment.declined", "cancel");
    history.reaction("inventory.released", declined, "payment.declined", "release");
    history
}
