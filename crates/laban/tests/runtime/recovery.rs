//! What goes away comes back.

use laban::State;
use tokio::sync::Semaphore;

use crate::bench::*;

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_restarts_in_the_middle() {
    let mut bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    bench.place_while_it_restarts(order.emitter(), 300).await;
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    for n in 0..300 {
        let records = bench.records("payment", &n.to_string()).await;
        let outcomes = names(&records).iter().filter(|name| **name == "captured").count();
        assert_eq!(outcomes, 1, "order {n}: {:?}", names(&records));
    }
}

#[tokio::test]
async fn a_deleted_consumer_is_made_again() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    bench.place("before").await;
    bench.until_records("payment", "before", 1).await;
    bench.jetstream().delete_consumer_from_stream("payment_charge_order_placed", "ORDER").await.unwrap();
    bench.place("after").await;
    bench.until_records("payment", "after", 1).await;
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    assert_eq!(names(&bench.records("payment", "before").await), ["captured"]);
}

#[tokio::test]
async fn a_service_waits_for_the_streams_it_reads() {
    let bench = Bench::start().await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    let _order = bench.home::<OrderPlaced>("order").await;
    bench.place("4711").await;
    bench.until_records("payment", "4711", 1).await;
}

#[tokio::test]
async fn a_service_waits_for_a_broker_that_is_starting() {
    let mut bench = Bench::start().await;
    bench.broker.kill();
    let service = bench.service("order").emits::<OrderPlaced>();
    let starting = tokio::spawn(service.start());
    bench.broker.start_again().await.unwrap();
    starting.await.unwrap().unwrap();
}

/// Holds each order until it is let go.
async fn held(order: OrderPlaced, gate: State<std::sync::Arc<Semaphore>>) -> PaymentCaptured {
    gate.acquire().await.unwrap().forget();
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_is_in_hand_and_strands_nothing() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let first = bench.service("payment").state(std::sync::Arc::clone(&gate)).on(held).start().await.unwrap();
    for n in 0..500 {
        bench.place(&n.to_string()).await;
    }
    let stream = bench.jetstream().get_stream("ORDER").await.unwrap();
    laban_testkit::wait::until("the handler to have its hands full", PATIENCE, async || {
        stream.consumer_info("payment_held_order_placed").await.is_ok_and(|info| info.num_ack_pending == 64)
    })
    .await
    .unwrap();
    first.stop();
    let draining = tokio::spawn(first.wait());
    gate.add_permits(64);
    draining.await.unwrap().unwrap();
    let info = stream.consumer_info("payment_held_order_placed").await.unwrap();
    assert_eq!(
        (info.num_ack_pending, info.num_redelivered),
        (0, 0),
        "nothing is left waiting for an acknowledgement"
    );
    assert_eq!(bench.stored("payment", "payment.>").await.len(), 64, "all that was in hand was finished");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_an_error_and_the_event_is_not_lost() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let gate = std::sync::Arc::new(Semaphore::new(0));
    let service = || bench.service("payment").state(std::sync::Arc::clone(&gate)).on(held);
    let first = service().setting("LABAN_DRAIN_TIMEOUT_MS", 3000).start().await.unwrap();
    bench.place("4711").await;
    let stream = bench.jetstream().get_stream("ORDER").await.unwrap();
    laban_testkit::wait::until("the delivery", PATIENCE, async || {
        stream.consumer_info("payment_held_order_placed").await.is_ok_and(|info| info.num_ack_pending == 1)
    })
    .await
    .unwrap();
    first.stop();
    let error = first.wait().await.unwrap_err();
    assert!(matches!(error, laban::Error::Drain { unfinished: 1, .. }), "{error}");
    gate.add_permits(10);
    let _second = service().start().await.unwrap();
    let records = bench.until_records("payment", "4711", 1).await;
    assert_eq!(names(&records).last(), Some(&"captured"));
}

#[tokio::test]
async fn what_runs_beside_the_handlers_is_waited_for_and_its_failure_stops_the_service() {
    let bench = Bench::start().await;
    let running = bench.home::<OrderPlaced>("order").await;
    let (stopping, finished) = (running.stopping(), std::sync::Arc::new(Semaphore::new(0)));
    let done = std::sync::Arc::clone(&finished);
    running.spawn(async move {
        stopping.await;
        done.add_permits(1);
        Ok(())
    });
    running.spawn(async { Err("the door fell off".into()) });
    let error = running.wait().await.unwrap_err().to_string();
    assert_eq!(error, "service order: stopped: the door fell off");
    assert_eq!(finished.available_permits(), 1, "the other task was told, and waited for");

    let running = bench.home::<OrderPlaced>("order").await;
    running.spawn(async { panic!("on fire") });
    let error = running.wait().await.unwrap_err().to_string();
    assert_eq!(error, "service order: stopped: panicked: on fire");
}
