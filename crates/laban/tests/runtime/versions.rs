//! Older versions of an event, made the newest before a handler sees them.

use async_nats::HeaderMap;
use laban::{BoxError, Event, EventId, Flow, FlowState, Handler as _, Record, Retry};
use laban_wire::{Dead, DeadReason, HEADER, Meta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::*;

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order)]
struct Captured1 {
    order: String,
    euros: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 2, flow = order_id, from = Captured1)]
struct Captured2 {
    order_id: String,
    euros: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone)]
#[event(name = "payment.captured", version = 3, flow = order_id, from = Captured2)]
struct Captured {
    order_id: String,
    amount_cents: u64,
}

impl From<Captured1> for Captured2 {
    fn from(old: Captured1) -> Self {
        assert!(old.euros != 666, "an upcaster that panics");
        Self { order_id: old.order, euros: old.euros }
    }
}

impl From<Captured2> for Captured {
    fn from(old: Captured2) -> Self {
        Self { order_id: old.order_id, amount_cents: old.euros * 100 }
    }
}

#[derive(Event)]
enum Half {
    Paid(Captured),
    Reserved(StockReserved),
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "shipping.dispatched", version = 2, flow = order_id, from = Dispatched1)]
struct Dispatched {
    order_id: String,
    worth_cents: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "shipping.dispatched", version = 1, flow = order_id)]
struct Dispatched1 {
    order_id: String,
}

impl From<Dispatched1> for Dispatched {
    fn from(old: Dispatched1) -> Self {
        Self { order_id: old.order_id, worth_cents: 7 }
    }
}

#[derive(Default)]
struct Parcel {
    worth_cents: Option<u64>,
    dispatched: Option<u64>,
}

impl FlowState for Parcel {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        if let Some(captured) = record.input::<Captured>()? {
            self.worth_cents = Some(captured.amount_cents);
        }
        self.dispatched = self.dispatched.or(record.emitted::<Dispatched>()?.map(|event| event.worth_cents));
        Ok(())
    }
}

async fn dispatch(half: Half, parcel: Flow<Parcel>) -> Option<Dispatched> {
    match half {
        Half::Paid(_) => None,
        Half::Reserved(StockReserved { order_id }) => {
            let worth_cents = parcel.dispatched.or(parcel.worth_cents)?;
            Some(Dispatched { order_id, worth_cents })
        }
    }
}

async fn credit(captured: Captured) -> Credited {
    Credited { order_id: captured.order_id, points: captured.amount_cents / 100 }
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "loyalty.credited", version = 1, flow = order_id)]
struct Credited {
    order_id: String,
    points: u64,
}

/// Published as a service of that version would have.
async fn publish(bench: &Bench, event: &str, version: Option<u32>, flow: &str, body: serde_json::Value) {
    let mut headers = HeaderMap::new();
    if let Some(version) = version {
        headers.insert(HEADER, Meta::root(EventId::root(), version).to_header());
    }
    bench.publish_raw(event, flow, headers, body.to_string().as_bytes()).await;
}

#[tokio::test]
async fn a_handler_takes_every_version_of_the_chain() {
    let bench = Bench::start().await;
    let _payment = bench.home::<Captured>("payment").await;
    let _loyalty = bench.service("loyalty").on(credit).start().await.unwrap();
    let old = |flow: &str, euros: u64| serde_json::json!({"order": flow, "euros": euros});
    publish(&bench, "payment.captured", Some(1), "first", old("first", 1)).await;
    let second = serde_json::json!({"order_id": "second", "euros": 2});
    publish(&bench, "payment.captured", Some(2), "second", second).await;
    let third = serde_json::json!({"order_id": "third", "amount_cents": 300});
    publish(&bench, "payment.captured", Some(3), "third", third).await;
    publish(&bench, "payment.captured", None, "unsaid", old("unsaid", 4)).await;
    for (flow, points) in [("first", 1), ("second", 2), ("third", 3), ("unsaid", 4)] {
        let records = bench.until_record("loyalty", flow, "credited").await;
        let credited: Credited = serde_json::from_slice(&records.last().unwrap().payload).unwrap();
        assert_eq!(credited.points, points, "{flow}");
    }
    // A version that is to come, a body of another version than it says, another flow, and an upcaster that panics.
    publish(&bench, "payment.captured", Some(4), "new", old("new", 1)).await;
    publish(&bench, "payment.captured", Some(2), "lies", old("lies", 1)).await;
    publish(&bench, "payment.captured", Some(1), "strays", old("elsewhere", 1)).await;
    publish(&bench, "payment.captured", Some(1), "panics", old("panics", 666)).await;
    for (flow, hint) in [
        ("new", "payment.captured is of version 4; handler `credit` knows versions 3, 2 and 1"),
        ("lies", "missing field `order_id`"),
        ("strays", "its body belongs to flow `elsewhere`"),
        ("panics", "panicked: an upcaster that panics"),
    ] {
        let records = bench.until_record("loyalty", flow, "_dead").await;
        let dead: Dead = serde_json::from_slice(&records.last().unwrap().payload).unwrap();
        assert_eq!(dead.reason, DeadReason::Undecodable);
        assert!(dead.error.contains(hint), "{hint:?} is not in: {}", dead.error);
    }
}

#[tokio::test]
async fn flow_state_is_of_the_newest_versions_too() {
    let bench = Bench::start().await;
    let _payment = bench.home::<Captured>("payment").await;
    let _inventory = bench.home::<StockReserved>("inventory").await;
    let _shipping = bench.service("shipping").on(dispatch).start().await.unwrap();
    let old = serde_json::json!({"order": "input", "euros": 3});
    publish(&bench, "payment.captured", Some(1), "input", old).await;
    bench.until_records("shipping", "input", 1).await;
    publish(&bench, "shipping.dispatched", Some(1), "output", serde_json::json!({"order_id": "output"}))
        .await;
    for (flow, worth) in [("input", 300), ("output", 7)] {
        bench.publish(&StockReserved { order_id: flow.to_owned() }, EventId::root()).await;
        let records = bench.until_records("shipping", flow, 2).await;
        let dispatched: Dispatched = serde_json::from_slice(&records[1].payload).unwrap();
        assert_eq!(dispatched.worth_cents, worth, "{flow}");
    }
}

/// What a release before this one concludes, which knows only the first version of its own event.
#[derive(Default)]
struct WorthBefore(bool);

impl FlowState for WorthBefore {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.0 |= record.emitted::<Dispatched1>()?.is_some();
        Ok(())
    }
}

async fn dispatch_before(reserved: StockReserved, sent: Flow<WorthBefore>) -> Option<Dispatched1> {
    (!sent.0.0).then_some(Dispatched1 { order_id: reserved.order_id })
}

/// The same, which asks only whether there was one.
#[derive(Default)]
struct SentBefore(bool);

impl FlowState for SentBefore {
    fn apply(&mut self, record: &Record) -> Result<(), BoxError> {
        self.0 |= record.has_emitted::<Dispatched1>();
        Ok(())
    }
}

async fn dispatch_once(reserved: StockReserved, sent: Flow<SentBefore>) -> Option<Dispatched1> {
    (!sent.0.0).then_some(Dispatched1 { order_id: reserved.order_id })
}

/// Why two releases may not stand side by side when the newer one emits another version of what the older one reads back.
#[tokio::test]
async fn an_older_release_cannot_read_back_a_newer_version_and_can_tell_that_it_is_there() {
    let bench = Bench::start().await;
    let _inventory = bench.home::<StockReserved>("inventory").await;
    let older = bench.service("shipping").on(dispatch_before.retry(Retry::never())).on(dispatch_once);
    let _shipping = older.start().await.unwrap();
    let newer = serde_json::json!({"order_id": "4711", "worth_cents": 5});
    publish(&bench, "shipping.dispatched", Some(2), "4711", newer).await;
    bench.publish(&StockReserved { order_id: "4711".to_owned() }, EventId::root()).await;
    let records = bench.until_records("shipping", "4711", 3).await;
    let of = |handler: &str| {
        let by = |record: &&laban_wire::Message| {
            record.meta.reaction.as_ref().is_some_and(|reaction| &*reaction.handler == handler)
        };
        records.iter().find(by).unwrap()
    };
    let dead = of("dispatch_before");
    assert_eq!(dead.subject.event_type.as_str(), "shipping._dead");
    let dead: Dead = serde_json::from_slice(&dead.payload).unwrap();
    assert_eq!(dead.reason, DeadReason::Exhausted, "it is tried again before, where the handler is");
    assert!(dead.error.contains("shipping.dispatched is of version 2"), "{}", dead.error);
    assert_eq!(of("dispatch_once").subject.event_type.as_str(), "shipping._handled");
}
