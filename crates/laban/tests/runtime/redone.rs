//! What took effect, done again on purpose.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::HeaderMap;
use laban::{Cause, EventId, Failure, Handler as _, Retry, State};
use laban_wire::{Again, Dead, DeadReason, HEADER, Message, Meta, StoredAt};

use crate::bench::*;
use crate::deadlines::{Answered, give_up};
use crate::redrives::redrive;

/// What the bank was told: attempts and idempotency keys. Whether it is closed for good.
#[derive(Clone, Default)]
struct Bank {
    told: Arc<Mutex<Vec<(u32, EventId)>>>,
    closed: Arc<AtomicBool>,
}

async fn charge(order: OrderPlaced, bank: State<Bank>, cause: Cause) -> Result<PaymentCaptured, Failure> {
    bank.told.lock().unwrap().push((cause.attempt, cause.idempotency_key));
    if bank.closed.load(Ordering::Relaxed) {
        return Err(Failure::reject("bank closed for good"));
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

async fn dispatch(_: PaymentCaptured) {}

/// What an operator's tool writes about a reaction: one of its records says which.
async fn again(bench: &Bench, service: &str, outcome: &Message, (stream, seq): (&str, u64)) -> EventId {
    let id = EventId::root();
    let reaction = outcome.meta.reaction.clone().unwrap();
    let meta = Meta { id, version: None, reaction: Some(reaction) };
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    let again = StoredAt { stream: stream.to_owned(), seq };
    let body = Again { again, by: "tester".into(), why: "the bank has lost it".into() };
    let (event, flow) = (format!("{service}._redrive"), outcome.subject.flow.key());
    bench.publish_raw(&event, &flow, headers, &serde_json::to_vec(&body).unwrap()).await;
    id
}

fn reaction(record: &Message) -> (EventId, u32) {
    let reaction = record.meta.reaction.as_ref().unwrap();
    (reaction.cause, reaction.attempt)
}

fn letter(record: &Message) -> Dead {
    serde_json::from_slice(&record.payload).unwrap()
}

#[tokio::test]
async fn what_took_effect_is_done_again_once_under_new_ids_and_those_downstream_react_again() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let bank = Bank::default();
    let payment = || bench.service("payment").state(bank.clone()).on(charge);
    let first = payment().start().await.unwrap();
    let _shipping = bench.service("shipping").on(dispatch).start().await.unwrap();
    let placed = bench.place("4711").await;
    let captured = bench.until_records("payment", "4711", 1).await;
    bench.until_records("shipping", "4711", 1).await;

    let asked = again(&bench, "payment", &captured[0], ("ORDER", 1)).await;
    let records = bench.until_records("payment", "4711", 3).await;
    assert_eq!(names(&records), ["captured", "_redrive", "captured"]);
    let (old, new) =
        (EventId::derived(placed, "payment", "charge", 0), EventId::derived(asked, "payment", "charge", 0));
    assert_eq!((records[0].meta.id, records[2].meta.id), (old, new));
    assert_eq!(*bank.told.lock().unwrap(), [(1, old), (2, new)], "the bank takes it for another one");
    assert_eq!((reaction(&records[0]), reaction(&records[2])), ((placed, 1), (placed, 2)));
    let shipped = bench.until_records("shipping", "4711", 2).await;
    assert_eq!([reaction(&shipped[0]).0, reaction(&shipped[1]).0], [old, new]);

    // Delivered again, the record says nothing new; nor does the event, which may run and is absorbed by the fence.
    first.stop();
    first.wait().await.unwrap();
    let context = bench.jetstream();
    context.get_stream("PAYMENT").await.unwrap().delete_consumer("payment__redrive").await.unwrap();
    let order = context.get_stream("ORDER").await.unwrap();
    order.delete_consumer("payment_charge_order_placed").await.unwrap();
    let _second = payment().start().await.unwrap();
    bench.until_settled("PAYMENT", "payment__redrive").await;
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
    assert!(bank.told.lock().unwrap()[2..].iter().all(|(_, key)| *key == old), "{:?}", bank.told);
    assert_eq!(names(&bench.records("payment", "4711").await), ["captured", "_redrive", "captured"]);
    // Another record does.
    let asked = again(&bench, "payment", &records[2], ("ORDER", 1)).await;
    let records = bench.until_records("payment", "4711", 5).await;
    let newest = EventId::derived(asked, "payment", "charge", 0);
    assert_eq!((records[4].meta.id, reaction(&records[4]).1), (newest, 3));
}

#[tokio::test]
async fn what_was_given_up_is_not_done_again_but_handed_back() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let bank = Bank::default();
    bank.closed.store(true, Ordering::Relaxed);
    let _payment = bench.service("payment").state(bank.clone()).on(charge).start().await.unwrap();
    let placed = bench.place("4711").await;
    let dead = bench.until_record("payment", "4711", "_dead").await;
    again(&bench, "payment", &dead[0], ("ORDER", 1)).await;
    bench.until_settled("PAYMENT", "payment__redrive").await;
    assert_eq!(names(&bench.records("payment", "4711").await), ["_dead", "_redrive"]);
    assert_eq!(bank.told.lock().unwrap().len(), 1, "it stays dead");

    bank.closed.store(false, Ordering::Relaxed);
    redrive(&bench, "payment", &dead[0]).await;
    let records = bench.until_record("payment", "4711", "captured").await;
    assert_eq!(records.last().unwrap().meta.id, EventId::derived(placed, "payment", "charge", 0));
}

#[tokio::test]
async fn what_fails_when_it_is_done_again_keeps_its_new_ids_when_it_is_handed_back() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let bank = Bank::default();
    let handler = charge.retry(Retry::never());
    let _payment = bench.service("payment").state(bank.clone()).on(handler).start().await.unwrap();
    bench.place("4711").await;
    let captured = bench.until_records("payment", "4711", 1).await;
    bank.closed.store(true, Ordering::Relaxed);
    let asked = again(&bench, "payment", &captured[0], ("ORDER", 1)).await;
    let dead = bench.until_record("payment", "4711", "_dead").await;
    assert_eq!(letter(&dead[2]).again, Some(asked));
    redrive(&bench, "payment", &dead[2]).await;
    let dead = bench.until_records("payment", "4711", 5).await;
    assert_eq!(names(&dead), ["captured", "_redrive", "_dead", "_redrive", "_dead"]);
    assert_eq!(letter(&dead[4]).again, Some(asked));

    bank.closed.store(false, Ordering::Relaxed);
    redrive(&bench, "payment", &dead[4]).await;
    let records = bench.until_records("payment", "4711", 7).await;
    let new = EventId::derived(asked, "payment", "charge", 0);
    assert_eq!((names(&records)[6], records[6].meta.id, reaction(&records[6]).1), ("captured", new, 4));
    let told: Vec<EventId> = bank.told.lock().unwrap().iter().map(|(_, key)| *key).collect();
    assert_eq!(told, [captured[0].meta.id, new, new, new], "one key for all attempts at it");
}

#[tokio::test]
async fn what_cannot_be_done_again_is_a_dead_letter() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _stock = bench.home::<StockReserved>("inventory").await;
    let bank = Bank::default();
    let payment = bench.service("payment").state(bank.clone()).on(charge);
    let _payment = payment.on(note.at_least_once()).start().await.unwrap();
    for flow in ["4711", "4712"] {
        bench.place(flow).await;
        bench.until_records("payment", flow, 2).await;
    }
    let mut count = 2;
    for (handler, input, error) in [
        ("charge", ("ORDER", 9), "to be done again, but not run: its input is no longer at ORDER 9"),
        ("charge", ("INVENTORY", 1), "handler `charge` reacts to nothing of INVENTORY"),
        ("charge", ("ORDER", 2), "its input is another event"),
        ("note", ("ORDER", 1), "handler `note` takes effect at least once: a replay runs it"),
    ] {
        let records = bench.records("payment", "4711").await;
        let outcome = records.iter().rfind(|record| {
            let by = &record.meta.reaction.as_ref().unwrap().handler;
            **by == *handler && !record.subject.event_type.is_system()
        });
        let asked = again(&bench, "payment", outcome.unwrap(), input).await;
        count += 2;
        let records = bench.until_records("payment", "4711", count).await;
        let dead = letter(records.last().unwrap());
        assert!(dead.error.contains(error), "{}", dead.error);
        assert_eq!((dead.reason, dead.again), (DeadReason::Rejected, Some(asked)));
        assert_eq!((dead.input.stream.as_str(), dead.input.seq), input);
        if handler == "charge" {
            // So that it has an outcome to be done again.
            reopen(&bench, &records, outcome.unwrap()).await;
            count += 1;
        }
    }
    assert_eq!(bank.told.lock().unwrap().len(), 2, "the handler never ran for any of these");
}

async fn note(order: OrderPlaced) -> PaymentDeclined {
    PaymentDeclined { order_id: order.order_id, reason: "noted".to_owned() }
}

/// As if the reaction had come to an outcome.
async fn reopen(bench: &Bench, records: &[Message], outcome: &Message) {
    let dead = records.last().unwrap();
    let meta = Meta { id: EventId::root(), version: Some(1), reaction: dead.meta.reaction.clone() };
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    let flow = dead.subject.flow.key();
    bench.publish_raw("payment.captured", &flow, headers, &outcome.payload).await;
}

#[tokio::test]
async fn a_deadline_that_passed_then_is_not_asked_about_again() {
    let bench = Bench::start().await;
    let _payment = bench.home::<PaymentCaptured>("payment").await;
    let handler = give_up.unless::<Answered>(Duration::from_millis(1));
    let _order = bench.service("order").emits::<OrderPlaced>().on(handler).start().await.unwrap();
    bench.place("4711").await;
    let records = bench.until_record("order", "4711", "payment-overdue").await;
    // What it waited for comes too late.
    bench.publish(&PaymentCaptured { order_id: "4711".into() }, EventId::root()).await;
    let asked = again(&bench, "order", &records[1], ("ORDER", 1)).await;
    let records = bench.until_records("order", "4711", 4).await;
    assert_eq!(names(&records), ["placed", "payment-overdue", "_redrive", "payment-overdue"]);
    assert_eq!(records[3].meta.id, EventId::derived(asked, "order", "give_up", 0));
}
