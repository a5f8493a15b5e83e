//! Deliveries that end without a word, as when a handler kills its process.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt as _;
use laban::{Failure, Handler as _, Retry, State};
use laban_wire::{Dead, DeadReason, Retrying};

use crate::bench::*;

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

/// Takes the order from the consumer so often and says nothing, as an instance does that is killed over it.
async fn take_and_die(bench: &Bench, times: usize) {
    let stream = bench.jetstream().get_stream("ORDER").await.unwrap();
    let consumer = stream.get_consumer::<pull::Config>("payment_charge_order_placed").await.unwrap();
    for _ in 0..times {
        let batch = consumer.batch().max_messages(1).expires(Duration::from_secs(10)).messages().await;
        batch.unwrap().next().await.unwrap().unwrap();
    }
}

/// The consumer exists, nobody is running.
async fn deserted() -> Bench {
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let payment = bench.service("payment").on(charge).start().await.unwrap();
    bench.until_consumer("ORDER", "payment_charge_order_placed").await;
    for service in [payment, order] {
        service.stop();
        service.wait().await.unwrap();
    }
    bench
}

#[tokio::test]
async fn a_vanished_attempt_is_a_record_and_the_event_is_handled() {
    let bench = deserted().await;
    bench.place("4711").await;
    take_and_die(&bench, 1).await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    let records = bench.until_records("payment", "4711", 2).await;
    assert_eq!(names(&records), ["_retrying", "captured"]);
    let body: Retrying = serde_json::from_slice(&records[0].payload).unwrap();
    assert!(body.vanished && body.error.contains("killed"), "{body:?}");
    assert_eq!(records[1].meta.reaction.as_ref().unwrap().attempt, 2);
}

/// Fails so often, and succeeds then.
async fn reluctant(order: OrderPlaced, failures: State<Arc<AtomicU32>>) -> Result<PaymentCaptured, Failure> {
    match failures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
        Ok(_) => Err(Failure::retry("not yet")),
        Err(_) => Ok(PaymentCaptured { order_id: order.order_id }),
    }
}

/// Deliveries to instances that died before they came to it are no attempts: they neither bury the event nor use up the
/// handler's retries.
#[tokio::test]
async fn deliveries_that_never_came_to_a_run_bury_nothing() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let fails = 6;
    let left = Arc::new(AtomicU32::new(fails));
    let soon = Retry { first_delay: Duration::from_millis(10), max_attempts: fails + 1, ..Retry::default() };
    let service = || {
        let service = bench.service("payment").state(Arc::clone(&left));
        service.on(reluctant.named("charge").retry(soon)).setting("LABAN_ACK_WAIT_MS", 200)
    };
    let first = service().start().await.unwrap();
    bench.until_consumer("ORDER", "payment_charge_order_placed").await;
    first.stop();
    first.wait().await.unwrap();
    bench.place("4711").await;
    take_and_die(&bench, 6).await;
    let _payment = service().start().await.unwrap();
    let records = bench.until_one_of("payment", "4711", &["captured", "_dead"]).await;
    assert_eq!(names(&records).last(), Some(&"captured"), "{:?}", names(&records));
    let failed = records.iter().filter_map(|record| serde_json::from_slice::<Retrying>(&record.payload).ok());
    assert_eq!(failed.filter(|body| !body.vanished).count(), fails as usize);
}

/// Dies as a process does: the runtime it runs on is gone in the middle of the handler.
async fn killer(
    order: OrderPlaced,
    deaths: laban::State<tokio::sync::mpsc::UnboundedSender<()>>,
) -> PaymentCaptured {
    if order.order_id == "poison" {
        deaths.send(()).unwrap();
        std::future::pending::<()>().await;
    }
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test]
async fn an_event_that_keeps_killing_its_process_becomes_a_dead_letter() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("poison").await;
    bench.place("good").await;
    let mut deaths = 0;
    loop {
        let (died, mut dies) = tokio::sync::mpsc::unbounded_channel::<()>();
        let url = bench.broker.url().to_owned();
        // A runtime of its own that is torn down under the handler: what a kill leaves behind.
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let service = runtime.spawn(async move {
            let service = laban::Service::new("payment").state(died).on(killer);
            let service = service.setting("NATS_URL", url).setting("LABAN_ACK_WAIT_MS", 300).own_telemetry();
            service.own_arguments().run().await
        });
        let dead = bench.until_records("payment", "poison", 1);
        let finished = tokio::select! {
            () = async { while dies.recv().await.is_none() { std::future::pending::<()>().await } } => false,
            () = async {
                let mut dead = std::pin::pin!(dead);
                let mut records = dead.as_mut().await;
                while names(&records).last() != Some(&"_dead") {
                    tokio::time::sleep(Duration::from_millis(20)).await; // why: polling a stream
                    records = bench.records("payment", "poison").await;
                }
            } => true,
        };
        service.abort();
        runtime.shutdown_background();
        if finished {
            break;
        }
        deaths += 1;
        assert!(deaths < 20, "it kills for ever");
    }
    let records = bench.records("payment", "poison").await;
    assert_eq!(names(&records), ["_retrying", "_retrying", "_retrying", "_retrying", "_dead"]);
    let dead: Dead = serde_json::from_slice(&records[4].payload).unwrap();
    assert_eq!((dead.reason, dead.attempts), (DeadReason::Vanishing, 5));
    assert_eq!(deaths, 5);
    assert!(dead.error.starts_with("4 attempts began"), "{}", dead.error);
    let good = bench.until_records("payment", "good", 1).await;
    assert_eq!(names(&good).last(), Some(&"captured"), "the innocent one is handled: {good:?}");
}
