//! What must follow within a time, and what happens when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use laban::{Cause, Event, EventId, Failure, Handler as _, Retry, Service, State};
use laban_testkit::wait;
use laban_wire::Timer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use crate::bench::*;
use crate::redrives::redrive;

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "order.payment-overdue", version = 1, flow = order_id)]
pub(crate) struct PaymentOverdue {
    pub(crate) order_id: String,
}

#[derive(Event)]
#[allow(dead_code, reason = "nothing reads what is only waited for")]
pub(crate) enum Answered {
    Captured(PaymentCaptured),
    Declined(PaymentDeclined),
}

/// Soon enough to wait for, late enough to be seen pending.
const SOON: Duration = Duration::from_secs(1);
/// Not in this test.
const LATER: Duration = Duration::from_secs(3600);

pub(crate) async fn give_up(placed: OrderPlaced) -> PaymentOverdue {
    PaymentOverdue { order_id: placed.order_id }
}

/// The service whose handler has a deadline.
fn order(bench: &Bench, within: Duration) -> Service {
    bench.service("order").emits::<OrderPlaced>().on(give_up.unless::<Answered>(within))
}

fn captured(order_id: &str) -> PaymentCaptured {
    PaymentCaptured { order_id: order_id.to_owned() }
}

/// Timers that wait or are due.
async fn timers(bench: &Bench) -> Option<u64> {
    let stream = bench.jetstream().get_stream("ORDER_TIMERS").await.ok()?;
    Some(stream.cached_info().state.messages)
}

async fn until_timers(bench: &Bench, count: u64) {
    let what = format!("{count} timers");
    wait::until(&what, PATIENCE, async || timers(bench).await == Some(count)).await.unwrap();
}

/// All that was placed has set its timers.
async fn until_armed(bench: &Bench) {
    bench.until_settled("ORDER", "order_give_up_order_placed").await;
}

/// Every timer has come and is settled. Says how many have come.
async fn until_none(bench: &Bench) -> u64 {
    until_timers(bench, 0).await;
    bench.until_settled("ORDER_TIMERS", "order__due").await.delivered.consumer_sequence
}

#[tokio::test]
async fn what_does_not_follow_in_time_is_followed_by_the_handler_once() {
    let bench = Bench::start().await;
    // Nobody has ever paid anything: there is no home stream to look in.
    let _order = order(&bench, SOON).start().await.unwrap();
    let id = bench.place("47 11").await;
    let records = bench.until_records("order", "47 11", 2).await;
    until_none(&bench).await;
    assert_eq!(names(&bench.records("order", "47 11").await), ["placed", "payment-overdue"]);
    let reaction = records[1].meta.reaction.as_ref().unwrap();
    assert_eq!((reaction.cause, reaction.on.as_str(), &*reaction.handler), (id, "order.placed", "give_up"));
    assert_eq!(records[1].meta.id, EventId::derived(id, "order", "give_up", 0));
    assert!(records[1].at - records[0].at >= SOON, "by the broker's clock");
}

#[tokio::test]
async fn what_follows_in_time_stops_the_timer() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let _order = order(&bench, LATER).start().await.unwrap();
    for flow in ["paid", "paid", "declined"] {
        bench.place(flow).await;
    }
    let id = bench.place("open").await;
    until_timers(&bench, 4).await;
    bench.publish(&captured("paid"), EventId::root()).await;
    let declined = PaymentDeclined { order_id: "declined".into(), reason: "no money".into() };
    bench.publish(&declined, EventId::root()).await;
    until_timers(&bench, 1).await;
    let left = &bench.stored("order_timers", "_timers.>").await[0];
    // Of the event's own time and id, so that whoever sets it again sets the same.
    let placed = &bench.records("order", "open").await[0];
    let at = (placed.at + LATER).format(&Rfc3339).unwrap();
    assert_eq!(left.subject, format!("_timers.order.give_up.open.{id}"));
    assert_eq!(left.headers.get("Nats-Schedule").unwrap().as_str(), format!("@at {at}"));
    let timer: Timer = serde_json::from_slice(&left.payload).unwrap();
    let subject = "order.placed.open".to_owned();
    assert_eq!(timer, Timer { stream: "ORDER".into(), seq: placed.seq, subject, id });
    assert_eq!(names(&bench.records("order", "paid").await), ["placed", "placed"]);
}

#[tokio::test]
async fn what_came_before_the_timer_was_set_is_found_when_it_is_due() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    // Its stream, and nobody there.
    let away = bench.home::<OrderPlaced>("order").await;
    away.stop();
    away.wait().await.unwrap();
    bench.place("paid").await;
    bench.place("open").await;
    bench.publish(&captured("paid"), EventId::root()).await;
    // A service that came too late for both.
    let _order = order(&bench, Duration::from_millis(1)).start().await.unwrap();
    bench.until_records("order", "open", 2).await;
    until_armed(&bench).await;
    until_none(&bench).await;
    assert_eq!(names(&bench.records("order", "paid").await), ["placed"]);
    assert_eq!(names(&bench.records("order", "open").await), ["placed", "payment-overdue"]);
}

#[tokio::test]
async fn each_input_of_a_flow_has_its_own_deadline_and_a_repeated_one_has_one() {
    let bench = Bench::start().await;
    let _order = order(&bench, SOON).start().await.unwrap();
    let first = bench.place("4711").await;
    let second = bench.place("4711").await;
    // The same event twice, as a client does that has not heard.
    bench.publish(&OrderPlaced { order_id: "4711".into(), amount_cents: 1 }, first).await;
    bench.until_records("order", "4711", 5).await;
    until_none(&bench).await;
    let records = bench.records("order", "4711").await;
    let causes = records.iter().filter_map(|record| Some(record.meta.reaction.as_ref()?.cause));
    let causes: std::collections::BTreeSet<_> = causes.collect();
    assert_eq!((records.len(), causes), (5, [first, second].into()), "{:?}", names(&records));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_run_it_once() {
    let bench = Bench::start().await;
    let _first = order(&bench, SOON).start().await.unwrap();
    let _second = order(&bench, SOON).start().await.unwrap();
    for n in 0..200 {
        bench.place(&n.to_string()).await;
    }
    for n in 0..200 {
        bench.until_records("order", &n.to_string(), 2).await;
    }
    until_none(&bench).await;
    assert_eq!(bench.stored("order", "order.payment-overdue.*").await.len(), 200);
}

const QUICK: Retry =
    Retry { first_delay: Duration::from_millis(5), max_delay: Duration::from_millis(20), max_attempts: 3 };

async fn hesitant(placed: OrderPlaced, cause: Cause) -> Result<PaymentOverdue, Failure> {
    if cause.attempt == 1 {
        return Err(Failure::retry("not now"));
    }
    Ok(PaymentOverdue { order_id: placed.order_id })
}

#[tokio::test]
async fn a_failed_run_is_tried_again() {
    let bench = Bench::start().await;
    let handler = hesitant.unless::<Answered>(Duration::from_millis(1)).retry(QUICK);
    let _order = bench.service("order").emits::<OrderPlaced>().on(handler).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_records("order", "4711", 3).await;
    assert_eq!(names(&records), ["placed", "_retrying", "payment-overdue"]);
    assert_eq!(records[2].meta.reaction.as_ref().unwrap().attempt, 2);
    until_none(&bench).await;
}

async fn stubborn(placed: OrderPlaced, mended: State<Arc<AtomicBool>>) -> Result<PaymentOverdue, Failure> {
    if !mended.load(Ordering::Relaxed) {
        return Err(Failure::reject("broken"));
    }
    Ok(PaymentOverdue { order_id: placed.order_id })
}

#[tokio::test]
async fn a_dead_letter_is_redriven_unless_the_awaited_event_has_come() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let mended = Arc::new(AtomicBool::new(false));
    let handler = stubborn.unless::<Answered>(Duration::from_millis(1));
    let service = bench.service("order").emits::<OrderPlaced>().state(Arc::clone(&mended));
    let _order = service.on(handler).start().await.unwrap();

    bench.place("4711").await;
    let dead = bench.until_record("order", "4711", "_dead").await;
    let input: laban_wire::Dead = serde_json::from_slice(&dead[1].payload).unwrap();
    assert_eq!(input.input.subject, "order.placed.4711", "the dead letter has the event, not the timer");
    mended.store(true, Ordering::Relaxed);
    redrive(&bench, "order", &dead[1]).await;
    let records = bench.until_record("order", "4711", "payment-overdue").await;
    assert_eq!(names(&records), ["placed", "_dead", "_redrive", "payment-overdue"]);

    mended.store(false, Ordering::Relaxed);
    bench.place("4711").await;
    let dead = bench.until_records("order", "4711", 6).await;
    bench.publish(&captured("4711"), EventId::root()).await;
    mended.store(true, Ordering::Relaxed);
    redrive(&bench, "order", dead.last().unwrap()).await;
    bench.until_settled("ORDER", "order__redrive").await;
    let records = bench.records("order", "4711").await;
    assert_eq!(names(&records)[4..], ["placed", "_dead", "_redrive", "_handled"]);
}

#[tokio::test]
async fn an_unreadable_event_is_a_dead_letter_at_once() {
    let bench = Bench::start().await;
    let _order = order(&bench, LATER).start().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(laban_wire::HEADER, "id=none");
    bench.publish_raw("order.placed", "4711", headers, b"{}").await;
    let what = "the dead letter";
    wait::until(what, PATIENCE, async || bench.stored("order", "order._dead.4711").await.len() == 1)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deleted_consumer_of_due_timers_is_made_again() {
    let bench = Bench::start().await;
    let _order = order(&bench, SOON).start().await.unwrap();
    bench.until_consumer("ORDER_TIMERS", "order__due").await;
    bench.place("4711").await;
    until_armed(&bench).await;
    bench.jetstream().delete_consumer_from_stream("order__due", "ORDER_TIMERS").await.unwrap();
    let records = bench.until_records("order", "4711", 2).await;
    assert_eq!(names(&records), ["placed", "payment-overdue"]);
    until_none(&bench).await;
}

#[tokio::test]
async fn an_event_that_is_gone_is_given_up() {
    let bench = Bench::start().await;
    let _order = order(&bench, SOON).start().await.unwrap();
    bench.place("gone").await;
    until_armed(&bench).await;
    let home = bench.jetstream().get_stream("ORDER").await.unwrap();
    home.purge().filter("order.placed.gone").await.unwrap();
    bench.place("here").await;
    bench.until_records("order", "here", 2).await;
    until_none(&bench).await;
    assert_eq!(names(&bench.records("order", "gone").await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_passes_while_the_service_and_the_broker_are_away() {
    let mut bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    // A drain takes two seconds.
    let within = 4 * SOON;
    let first = order(&bench, within).start().await.unwrap();
    // Not stopped by this: its timer is set later.
    bench.publish(&captured("paid"), EventId::root()).await;
    bench.until_settled("PAYMENT", "order_give_up-unless_payment_captured").await;
    for flow in ["open", "paid"] {
        bench.place(flow).await;
    }
    until_timers(&bench, 2).await;
    first.stop();
    first.wait().await.unwrap();
    bench.broker.kill();
    tokio::time::sleep(within).await; // why: the deadline is to pass while nobody is there
    bench.broker.start_again().await.unwrap();
    let second = order(&bench, SOON).start().await.unwrap();
    bench.until_records("order", "open", 2).await;
    until_none(&bench).await;
    assert_eq!(names(&bench.records("order", "open").await), ["placed", "payment-overdue"]);
    assert_eq!(names(&bench.records("order", "paid").await), ["placed"]);

    // And one whose timer is not even set when it passes.
    second.stop();
    second.wait().await.unwrap();
    bench.place("late").await;
    tokio::time::sleep(SOON).await; // why: as above
    let _third = order(&bench, SOON).start().await.unwrap();
    bench.until_records("order", "late", 2).await;
    until_none(&bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_are_set_however_often_the_broker_goes_away() {
    let mut bench = Bench::start().await;
    let running = order(&bench, SOON).start().await.unwrap();
    bench.place_while_it_restarts(running.emitter(), 200).await;
    for n in 0..200 {
        let records = bench.until_record("order", &n.to_string(), "payment-overdue").await;
        assert_eq!(names(&records), ["placed", "payment-overdue"], "order {n}");
    }
    until_none(&bench).await;
    assert_eq!(bench.stored("order", "order.payment-overdue.*").await.len(), 200);
}

#[tokio::test]
async fn a_service_without_deadlines_has_no_timer_stream_and_a_contract_says_what_is_awaited() {
    let bench = Bench::start().await;
    let without = bench.service("order").emits::<OrderPlaced>();
    let contract = serde_json::to_string(&without.contract().unwrap()).unwrap();
    assert!(!contract.contains("deadline"), "{contract}");
    let _order = without.start().await.unwrap();
    assert_eq!(timers(&bench).await, None);
    let contract = serde_json::to_value(order(&bench, SOON).contract().unwrap()).unwrap();
    let deadline =
        serde_json::json!({ "unless": ["payment.captured", "payment.declined"], "within_ms": 1000 });
    assert_eq!(contract["handlers"][0]["deadline"], deadline);
}
