//! Failures: tried again, and given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use laban::{Cause, Failure, Handler as _, OrRetry as _, Retry, State};
use laban_wire::{Dead, DeadReason, Retrying};

use crate::bench::*;

const QUICK: Retry =
    Retry { first_delay: Duration::from_millis(5), max_delay: Duration::from_millis(20), max_attempts: 3 };

/// Fails so often.
async fn flaky(order: OrderPlaced, cause: Cause, fails: State<u32>) -> Result<PaymentCaptured, Failure> {
    if cause.attempt <= *fails {
        Err(std::io::Error::other(format!("bank closed, attempt {}", cause.attempt))).or_retry()?;
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

#[tokio::test]
async fn a_failed_attempt_is_a_record_and_is_made_again() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").state(2_u32).on(flaky.retry(QUICK)).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["_retrying", "_retrying", "captured"]);
    let attempts: Vec<_> = records.iter().map(|r| r.meta.reaction.as_ref().unwrap().attempt).collect();
    assert_eq!(attempts, [1, 2, 3]);
    let body: Retrying = serde_json::from_slice(&records[1].payload).unwrap();
    assert_eq!((body.attempt, body.error.as_str(), body.vanished), (2, "bank closed, attempt 2", false));
    let info = bench.until_settled("ORDER", "payment_flaky_order_placed").await;
    assert_eq!(info.num_redelivered, 0, "nothing is waiting for redelivery");
}

#[tokio::test]
async fn the_last_attempt_makes_a_dead_letter_with_the_whole_input() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").state(99_u32).on(flaky.retry(QUICK)).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["_retrying", "_retrying", "_dead"]);
    let dead: Dead = serde_json::from_slice(&records[2].payload).unwrap();
    assert_eq!((dead.reason, dead.attempts), (DeadReason::Exhausted, 3));
    assert_eq!(dead.error, "bank closed, attempt 3");
    assert_eq!((dead.input.stream.as_str(), dead.input.seq), ("ORDER", 1));
    assert_eq!(dead.input.subject, "order.placed.4711");
    assert!(dead.input.headers.contains_key("Laban"));
    let payload = dead.input.payload.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<OrderPlaced>(&payload).unwrap().order_id, "4711");
    bench.until_settled("ORDER", "payment_flaky_order_placed").await;
}

async fn refuse(_: OrderPlaced) -> Result<(), Failure> {
    Err(Failure::reject("never heard of it"))
}

async fn explode(order: OrderPlaced) -> PaymentCaptured {
    panic!("no bank in {}", order.order_id);
}

async fn hang(_: OrderPlaced) -> PaymentCaptured {
    std::future::pending().await
}

async fn too_much(order: OrderPlaced) -> PaymentDeclined {
    PaymentDeclined { order_id: order.order_id, reason: "x".repeat(2_000_000) }
}

async fn no_flow(_: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: String::new() }
}

/// The dead letter that a handler makes of an order.
async fn buried(definition: laban::Definition) -> Dead {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(definition).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_records("payment", "4711", 1).await;
    assert_eq!(names(&records), ["_dead"]);
    serde_json::from_slice(&records[0].payload).unwrap()
}

#[tokio::test]
async fn a_rejection_is_not_tried_again() {
    let dead = buried(refuse.retry(QUICK)).await;
    assert_eq!(
        (dead.reason, dead.attempts, dead.error.as_str()),
        (DeadReason::Rejected, 1, "never heard of it")
    );
}

#[tokio::test]
async fn a_panic_is_an_error_and_stops_nothing() {
    let dead = buried(explode.retry(Retry::never())).await;
    assert_eq!((dead.reason, dead.error.as_str()), (DeadReason::Exhausted, "panicked: no bank in 4711"));
}

#[tokio::test]
async fn a_handler_that_hangs_has_failed() {
    let dead = buried(hang.retry(Retry::never()).timeout(Duration::from_millis(50))).await;
    assert_eq!((dead.reason, dead.error.as_str()), (DeadReason::Exhausted, "no outcome within 50 ms"));
}

#[tokio::test]
async fn an_event_over_the_brokers_limit_is_a_dead_letter_that_says_so() {
    let dead = buried(too_much.retry(QUICK)).await;
    assert_eq!(dead.reason, DeadReason::Unwritable);
    assert!(dead.error.contains("payment.declined.4711") && dead.error.contains("1048576"), "{}", dead.error);
}

#[tokio::test]
async fn an_event_without_a_flow_is_a_dead_letter_that_says_so() {
    let dead = buried(no_flow.retry(QUICK)).await;
    assert_eq!(dead.reason, DeadReason::Unwritable);
    assert_eq!(dead.error, "payment.captured: a flow id must not be empty");
}

#[tokio::test]
async fn a_broken_body_or_an_unknown_version_never_runs_the_handler() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").state(0_u32).on(flaky).start().await.unwrap();
    bench.publish_raw("order.placed", "broken", Default::default(), b"{\"order_id\": \"7").await;
    let mut headers = async_nats::HeaderMap::new();
    let meta = laban_wire::Meta::root(laban::EventId::root(), 9);
    headers.insert(laban_wire::HEADER, meta.to_header());
    bench.publish_raw("order.placed", "newer", headers, br#"{"order_id":"newer","amount_cents":1}"#).await;
    bench.place("good").await;
    for (flow, hint) in
        [("broken", "EOF while parsing"), ("newer", "version 9; handler `flaky` knows version 1")]
    {
        let records = bench.until_records("payment", flow, 1).await;
        let dead: Dead = serde_json::from_slice(&records[0].payload).unwrap();
        assert_eq!((dead.reason, dead.attempts), (DeadReason::Undecodable, 0));
        assert!(dead.error.contains(hint), "{}", dead.error);
    }
    assert_eq!(names(&bench.until_records("payment", "good", 1).await), ["captured"]);
    bench.until_settled("ORDER", "payment_flaky_order_placed").await;
}

/// Attempts are counted in the stream, not in the process or by the broker.
#[tokio::test]
async fn attempts_survive_a_restart() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let slow = Retry { first_delay: Duration::from_millis(300), ..QUICK };
    let first = bench.service("payment").state(99_u32).on(flaky.retry(slow)).start().await.unwrap();
    bench.place("4711").await;
    bench.until_records("payment", "4711", 1).await;
    first.stop();
    first.wait().await.unwrap();
    let _second = bench.service("payment").state(99_u32).on(flaky.retry(slow)).start().await.unwrap();
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["_retrying", "_retrying", "_dead"]);
}

/// Keeps count of how many run at a time.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicU32, AtomicU32)>);

async fn gauged(order: OrderPlaced, gauge: State<Gauge>) -> PaymentCaptured {
    let (now, most) = &*gauge.0.0;
    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(5)).await; // why: overlapping runs must have time to overlap
    now.fetch_sub(1, Ordering::SeqCst);
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency_is_limited() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    for n in 0..60 {
        bench.place(&n.to_string()).await;
    }
    let gauge = Gauge::default();
    let _payment =
        bench.service("payment").state(gauge.clone()).on(gauged.concurrency(3)).start().await.unwrap();
    laban_testkit::wait::until("60 outcomes", PATIENCE, async || {
        bench.stored("payment", "payment.>").await.len() == 60
    })
    .await
    .unwrap();
    assert_eq!(gauge.0.1.load(Ordering::SeqCst), 3);
}
