//! Dead letters handed back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use laban::{EventId, Failure, Handler as _, Retry, State};
use laban_wire::{Dead, DeadReason, HEADER, Message, Meta, Payload, Reaction, Redrive};

use crate::bench::*;

type Mended = Arc<AtomicBool>;

async fn charge(order: OrderPlaced, mended: State<Mended>) -> Result<PaymentCaptured, Failure> {
    if !mended.load(Ordering::Relaxed) {
        return Err(Failure::retry("bank closed"));
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

/// What an operator's tool writes.
pub(crate) async fn redrive(bench: &Bench, service: &str, dead: &Message) -> u64 {
    redrive_with(bench, service, dead, None).await
}

/// The same, with another body for the handler.
pub(crate) async fn redrive_with(bench: &Bench, service: &str, dead: &Message, body: Option<&str>) -> u64 {
    let reaction = dead.meta.reaction.clone().unwrap();
    let reaction = Reaction { queue_ms: Default::default(), handle_ms: Default::default(), ..reaction };
    let meta = Meta { id: EventId::root(), version: None, reaction: Some(reaction) };
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    let body = Redrive {
        dead_seq: dead.seq,
        by: Some("tester".into()),
        why: None,
        payload: body.map(|body| Payload::of(body.as_bytes())),
    };
    bench
        .publish_raw(
            &format!("{service}._redrive"),
            &dead.subject.flow.key(),
            headers,
            &serde_json::to_vec(&body).unwrap(),
        )
        .await
}

#[tokio::test]
async fn a_dead_letter_gets_its_outcome_once() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let mended = Mended::default();
    let handler = charge.retry(Retry::never());
    let _payment = bench.service("payment").state(Arc::clone(&mended)).on(handler).start().await.unwrap();
    bench.place("4711").await;
    let dead = bench.until_record("payment", "4711", "_dead").await;

    redrive(&bench, "payment", &dead[0]).await;
    let again = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&again), ["_dead", "_redrive", "_dead"], "the fault is still there");

    mended.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        redrive(&bench, "payment", &again[2]).await;
    }
    bench.until_settled("PAYMENT", "payment__redrive").await;
    let records = bench.records("payment", "4711").await;
    let outcomes = names(&records).iter().filter(|name| **name == "captured").count();
    assert_eq!(outcomes, 1, "{:?}", names(&records));
    let captured = records.iter().find(|record| record.subject.event_type.event() == "captured").unwrap();
    assert_eq!(captured.meta.reaction.as_ref().unwrap().attempt, 3, "attempts go on being counted");
}

#[tokio::test]
async fn a_redrive_of_nothing_is_refused_and_stops_nothing() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let mended = Arc::new(AtomicBool::new(true));
    let _payment = bench.service("payment").state(mended).on(charge).start().await.unwrap();
    bench.place("4711").await;
    let captured = bench.until_records("payment", "4711", 1).await;
    redrive(&bench, "payment", &captured[0]).await;
    bench.publish_raw("payment._redrive", "4711", HeaderMap::new(), b"{}").await;
    bench.until_settled("PAYMENT", "payment__redrive").await;
    bench.place("next").await;
    bench.until_records("payment", "next", 1).await;
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured", "_redrive", "_redrive"]);
}

fn letter(record: &Message) -> Dead {
    serde_json::from_slice(&record.payload).unwrap()
}

/// How often the handler was run, and with which amounts.
type Till = Arc<std::sync::Mutex<Vec<u64>>>;

/// Takes nothing above a hundred, and fails at 13 until the third attempt.
async fn take(order: OrderPlaced, till: State<Till>) -> Result<PaymentCaptured, Failure> {
    let mut runs = till.lock().unwrap();
    runs.push(order.amount_cents);
    match order.amount_cents {
        101.. => Err(Failure::reject("too much for one till")),
        13 if runs.iter().filter(|amount| **amount == 13).count() < 3 => Err(Failure::retry("unlucky")),
        _ => Ok(PaymentCaptured { order_id: order.order_id }),
    }
}

const QUICK: Retry =
    Retry { first_delay: Duration::from_millis(200), max_delay: Duration::from_millis(200), max_attempts: 5 };

/// A payment service whose till has refused a thousand.
async fn refused(bench: &Bench) -> (laban::Running, laban::Running, Till, Message) {
    let order = bench.home::<OrderPlaced>("order").await;
    let till = Till::default();
    let payment = bench.service("payment").state(till.clone()).on(take.retry(QUICK)).start().await.unwrap();
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1000 };
    bench.publish(&placed, EventId::root()).await;
    let mut dead = bench.until_record("payment", "4711", "_dead").await;
    (order, payment, till, dead.remove(0))
}

#[tokio::test]
async fn the_same_dead_letter_is_run_by_one_redrive_alone() {
    let bench = Bench::start().await;
    let (_order, _payment, till, dead) = refused(&bench).await;
    // The first is between two attempts when the others come; what they bring is never run.
    redrive_with(&bench, "payment", &dead, Some(r#"{"order_id":"4711","amount_cents":13}"#)).await;
    redrive_with(&bench, "payment", &dead, Some(r#"{"order_id":"4711","amount_cents":7}"#)).await;
    redrive(&bench, "payment", &dead).await;
    let records = bench.until_record("payment", "4711", "captured").await;
    bench.until_settled("PAYMENT", "payment__redrive").await;
    assert_eq!(*till.lock().unwrap(), [1000, 13, 13, 13], "{:?}", names(&records));
    // Long after it is settled: neither is it run again, nor does it stand open.
    redrive_with(&bench, "payment", &dead, Some(r#"{"order_id":"4711","amount_cents":7}"#)).await;
    bench.until_settled("PAYMENT", "payment__redrive").await;
    assert_eq!(till.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_redrive_of_a_letter_that_was_given_up_again_since_is_absorbed() {
    let bench = Bench::start().await;
    let (_order, _payment, till, dead) = refused(&bench).await;
    redrive(&bench, "payment", &dead).await;
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["_dead", "_redrive", "_dead"]);
    redrive(&bench, "payment", &dead).await;
    bench.until_settled("PAYMENT", "payment__redrive").await;
    assert_eq!(till.lock().unwrap().len(), 2, "the letter that it names was tried");
    assert_eq!(names(&bench.records("payment", "4711").await), ["_dead", "_redrive", "_dead", "_redrive"]);
}

#[tokio::test]
async fn an_edited_body_is_what_the_handler_gets_and_what_is_kept_if_it_fails() {
    let bench = Bench::start().await;
    let (_order, _payment, till, _dead) = refused(&bench).await;
    for (body, reason, error) in [
        (r#"{"order_id":"4711","amount_cents":"nine"}"#, DeadReason::Undecodable, "invalid type"),
        (r#"{"order_id":"other","amount_cents":9}"#, DeadReason::Undecodable, "flow"),
        (r#"{"order_id":"4711","amount_cents":900}"#, DeadReason::Rejected, "too much"),
    ] {
        let records = bench.records("payment", "4711").await;
        redrive_with(&bench, "payment", records.last().unwrap(), Some(body)).await;
        let records = bench.until_records("payment", "4711", records.len() + 2).await;
        let again = letter(records.last().unwrap());
        assert_eq!(again.reason, reason, "{}", again.error);
        assert!(again.error.contains(error), "{}", again.error);
        assert_eq!(again.input.payload.unwrap().to_bytes(), body, "what it was given up with");
        assert_eq!((again.input.stream.as_str(), again.input.seq), ("ORDER", 1));
    }
    // Handed back as it is, it is run with the last body; mended, it takes effect under the id of the event.
    let records = bench.records("payment", "4711").await;
    redrive(&bench, "payment", records.last().unwrap()).await;
    let records = bench.until_records("payment", "4711", records.len() + 2).await;
    redrive_with(&bench, "payment", records.last().unwrap(), Some(r#"{"order_id":"4711","amount_cents":9}"#))
        .await;
    let records = bench.until_record("payment", "4711", "captured").await;
    let (first, last) = (records[0].meta.reaction.clone(), records.last().unwrap().meta.reaction.clone());
    assert_eq!(first.unwrap().cause, last.unwrap().cause);
    assert_eq!(*till.lock().unwrap(), [1000, 900, 900, 9]);
}

#[tokio::test]
async fn a_redrive_that_cannot_come_to_a_run_is_a_dead_letter_again() {
    let bench = Bench::start().await;
    let (_order, payment, till, dead) = refused(&bench).await;
    payment.stop();
    payment.wait().await.unwrap();
    // The next release has no such handler.
    async fn other(_: PaymentDeclined) {}
    let payment = bench.service("payment").emits::<PaymentDeclined>().on(other).start().await.unwrap();
    redrive(&bench, "payment", &dead).await;
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["_dead", "_redrive", "_dead"]);
    let again = letter(&records[2]);
    assert_eq!(again.error, "handed back, but not run: no handler `take` reacts to order.placed here");
    assert_eq!(again.input.payload.unwrap().to_bytes(), letter(&dead).input.payload.unwrap().to_bytes());
    bench.until_settled("PAYMENT", "payment__redrive").await;
    payment.stop();
    payment.wait().await.unwrap();
    // The one after that has it again.
    let _payment = bench.service("payment").state(till.clone()).on(take).start().await.unwrap();
    redrive_with(&bench, "payment", &records[2], Some(r#"{"order_id":"4711","amount_cents":1}"#)).await;
    bench.until_record("payment", "4711", "captured").await;
    assert_eq!(*till.lock().unwrap(), [1000, 1]);
}

#[tokio::test]
async fn a_discard_changes_nothing_for_the_service() {
    let bench = Bench::start().await;
    let (_order, _payment, till, dead) = refused(&bench).await;
    let reaction = dead.meta.reaction.clone().unwrap();
    let meta = Meta { id: EventId::root(), version: None, reaction: Some(reaction) };
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    let body = laban_wire::Discarded { dead_seq: dead.seq, by: "ann".into(), why: "a test order".into() };
    bench.publish_raw("payment._discarded", "4711", headers, &serde_json::to_vec(&body).unwrap()).await;
    // The event once more, as after a lost acknowledgement: what was given up stays given up.
    let cause = dead.meta.reaction.as_ref().unwrap().cause;
    bench.publish(&OrderPlaced { order_id: "4711".into(), amount_cents: 1 }, cause).await;
    bench.until_settled("ORDER", "payment_take_order_placed").await;
    assert_eq!(*till.lock().unwrap(), [1000]);
    // Somebody thinks better of it.
    redrive_with(&bench, "payment", &dead, Some(r#"{"order_id":"4711","amount_cents":2}"#)).await;
    bench.until_record("payment", "4711", "captured").await;
    assert_eq!(*till.lock().unwrap(), [1000, 2]);
}

#[tokio::test]
async fn the_event_once_more_does_not_run_beside_a_redrive() {
    let bench = Bench::start().await;
    let (_order, _payment, till, dead) = refused(&bench).await;
    redrive_with(&bench, "payment", &dead, Some(r#"{"order_id":"4711","amount_cents":13}"#)).await;
    bench.until_record("payment", "4711", "_retrying").await;
    let cause = dead.meta.reaction.as_ref().unwrap().cause;
    bench.publish(&OrderPlaced { order_id: "4711".into(), amount_cents: 5 }, cause).await;
    bench.until_settled("ORDER", "payment_take_order_placed").await;
    bench.until_record("payment", "4711", "captured").await;
    assert_eq!(*till.lock().unwrap(), [1000, 13, 13, 13]);
}

#[tokio::test]
async fn what_is_unreadable_stays_a_dead_letter_and_says_so() {
    let bench = Bench::start().await;
    let (_order, _payment, till, _dead) = refused(&bench).await;
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, "id=none");
    bench.publish_raw("order.placed", "4712", headers, br#"{"order_id":"4712","amount_cents":1}"#).await;
    let dead = bench.until_record("payment", "4712", "_dead").await;
    redrive(&bench, "payment", &dead[0]).await;
    let records = bench.until_records("payment", "4712", 3).await;
    let again = letter(&records[2]);
    assert_eq!(again.reason, DeadReason::Unreadable);
    assert!(
        again.error.starts_with("handed back, but not run: its input is still unreadable: "),
        "{}",
        again.error
    );
    assert_eq!(records[2].meta.reaction.as_ref().unwrap().cause, EventId::of_stored("ORDER", 2));
    assert_eq!(*till.lock().unwrap(), [1000]);
}
