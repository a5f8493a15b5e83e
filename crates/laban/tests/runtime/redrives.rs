//! Dead letters handed back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::HeaderMap;
use laban::{EventId, Failure, Handler as _, Retry, State};
use laban_wire::{HEADER, Message, Meta, Reaction, Redrive};

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
    let reaction = dead.meta.reaction.clone().unwrap();
    let reaction = Reaction { queue_ms: Default::default(), handle_ms: Default::default(), ..reaction };
    let meta = Meta { id: EventId::root(), version: None, reaction: Some(reaction) };
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    let body = Redrive { dead_seq: dead.seq, by: Some("tester".into()), why: None, payload: None };
    bench
        .publish_raw(&format!("{service}._redrive"), "4711", headers, &serde_json::to_vec(&body).unwrap())
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
