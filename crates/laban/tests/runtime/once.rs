//! An outcome takes effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use laban::{Cause, EventId, Handler as _, State};

use crate::bench::*;

/// How often the handler ran.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

async fn charge(order: OrderPlaced, runs: State<Runs>) -> PaymentCaptured {
    runs.0.0.fetch_add(1, Ordering::Relaxed);
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test]
async fn an_event_is_emitted_with_its_cause() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").state(Runs::default()).on(charge).start().await.unwrap();
    let cause = bench.place("4711").await;
    let records = bench.until_records("payment", "4711", 1).await;
    let meta = &records[0].meta;
    assert_eq!(names(&records), ["captured"]);
    assert_eq!(meta.id, EventId::derived(cause, "payment", "charge", 0));
    assert_eq!(meta.version, Some(1));
    let reaction = meta.reaction.as_ref().unwrap();
    assert_eq!((reaction.cause, reaction.on.as_str()), (cause, "order.placed"));
    assert_eq!((&*reaction.handler, reaction.attempt), ("charge", 1));
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
}

#[tokio::test]
async fn a_second_publish_of_the_same_event_is_absorbed() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let runs = Runs::default();
    let _payment = bench.service("payment").state(runs.clone()).on(charge).start().await.unwrap();
    let order = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let id = EventId::root();
    for _ in 0..5 {
        bench.publish(&order, id).await;
    }
    bench.publish(&order, EventId::root()).await;
    bench.until_records("payment", "4711", 2).await;
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    assert_eq!(bench.records("payment", "4711").await.len(), 2, "one for each event id");
    assert_eq!(runs.count(), 2, "what this instance did itself it knows without asking");
}

/// Without what it remembers, an instance must find its own records by the fence.
#[tokio::test]
async fn a_new_instance_absorbs_what_an_earlier_one_did() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let order = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let id = EventId::root();
    let first = bench.service("payment").state(Runs::default()).on(charge).start().await.unwrap();
    bench.publish(&order, id).await;
    bench.until_records("payment", "4711", 1).await;
    first.stop();
    first.wait().await.unwrap();
    let runs = Runs::default();
    let _second = bench.service("payment").state(runs.clone()).on(charge).start().await.unwrap();
    bench.publish(&order, id).await;
    let info = bench.until_settled("ORDER", "payment_charge_order_placed").await;
    assert_eq!(info.delivered.stream_sequence, 2, "the second publish was delivered");
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured"]);
    assert_eq!(runs.count(), 1, "a first delivery runs the handler; its commit loses the fence");
}

#[tokio::test]
async fn the_whole_history_again_changes_nothing() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let first = bench.service("payment").state(Runs::default()).on(charge).start().await.unwrap();
    for n in 0..50 {
        bench.place(&n.to_string()).await;
    }
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    first.stop();
    first.wait().await.unwrap();
    bench.jetstream().delete_consumer_from_stream("payment_charge_order_placed", "ORDER").await.unwrap();
    let _second = bench.service("payment").state(Runs::default()).on(charge).start().await.unwrap();
    bench.until_consumer("ORDER", "payment_charge_order_placed").await;
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    assert_eq!(bench.stored("payment", "payment.>").await.len(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_and_doubled_events_make_one_outcome_each() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let mut instances = Vec::new();
    for _ in 0..4 {
        instances.push(bench.service("payment").state(Runs::default()).on(charge).start().await.unwrap());
    }
    for n in 0..200 {
        let order = OrderPlaced { order_id: n.to_string(), amount_cents: 1 };
        let id = EventId::root();
        bench.publish(&order, id).await;
        bench.publish(&order, id).await;
    }
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    for n in 0..200 {
        assert_eq!(bench.records("payment", &n.to_string()).await.len(), 1, "order {n}");
    }
}

async fn note(_: OrderPlaced) {}

#[tokio::test]
async fn nothing_emitted_is_a_record_too() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _audit = bench.service("audit").on(note).start().await.unwrap();
    let cause = bench.place("4711").await;
    let records = bench.until_records("audit", "4711", 1).await;
    assert_eq!(names(&records), ["_handled"]);
    assert_eq!(records[0].meta.reaction.as_ref().unwrap().cause, cause);
    assert!(records[0].payload.is_empty());
}

/// Two events in the flow and one in another.
async fn split(order: OrderPlaced) -> (PaymentCaptured, Option<PaymentDeclined>, Vec<PaymentCaptured>) {
    let order_id = order.order_id;
    let other = PaymentCaptured { order_id: format!("{order_id}-other") };
    let declined = PaymentDeclined { order_id: order_id.clone(), reason: "second half".into() };
    (PaymentCaptured { order_id }, Some(declined), vec![other])
}

#[tokio::test]
async fn several_events_are_written_together_and_once() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(split).start().await.unwrap();
    let order = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let id = EventId::root();
    for _ in 0..3 {
        bench.publish(&order, id).await;
    }
    bench.until_settled("ORDER", "payment_split_order_placed").await;
    let records = bench.records("payment", "4711").await;
    assert_eq!(names(&records), ["captured", "declined"]);
    assert_eq!(records[1].seq, records[0].seq + 1, "one batch");
    let other = bench.records("payment", "4711-other").await;
    assert_eq!(names(&other), ["captured"]);
    let ids: Vec<_> = records.iter().chain(&other).map(|record| record.meta.id).collect();
    let expected: Vec<_> = (0..3).map(|index| EventId::derived(id, "payment", "split", index)).collect();
    assert_eq!(ids, expected);
}

/// Only in another flow: the reaction still needs its record in the flow of its cause.
async fn elsewhere(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: format!("{}-other", order.order_id) }
}

#[tokio::test]
async fn an_event_in_another_flow_leaves_a_record_in_this_one() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(elsewhere).start().await.unwrap();
    let order = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let id = EventId::root();
    for _ in 0..3 {
        bench.publish(&order, id).await;
    }
    bench.until_settled("ORDER", "payment_elsewhere_order_placed").await;
    assert_eq!(names(&bench.records("payment", "4711").await), ["_handled"]);
    assert_eq!(names(&bench.records("payment", "4711-other").await), ["captured"]);
}

async fn keyed(order: OrderPlaced, cause: Cause) -> PaymentDeclined {
    PaymentDeclined { order_id: order.order_id, reason: cause.idempotency_key.to_string() }
}

#[tokio::test]
async fn the_idempotency_key_is_the_id_of_what_is_emitted() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(keyed).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_records("payment", "4711", 1).await;
    let declined: PaymentDeclined = serde_json::from_slice(&records[0].payload).unwrap();
    assert_eq!(declined.reason, records[0].meta.id.to_string());
}

#[tokio::test]
async fn at_least_once_writes_what_it_is_told_and_keeps_no_other_record() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let handlers = bench.service("payment").state(Runs::default()).on(charge.at_least_once());
    let _payment = handlers.on(note.at_least_once()).start().await.unwrap();
    let order = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let id = EventId::root();
    for _ in 0..3 {
        bench.publish(&order, id).await;
    }
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    bench.until_settled("ORDER", "payment_note_order_placed").await;
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured"; 3]);
}
