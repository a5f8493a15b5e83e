//! The services protocol of NATS: who is there.

use std::time::Duration;

use futures_util::StreamExt as _;
use laban::{BoxError, Event, Failure};
use serde_json::Value;

use crate::bench::*;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, Failure> {
    tokio::time::sleep(Duration::from_millis(5)).await; // why: a handler that takes time
    if order.amount_cents == 666 {
        return Err(Failure::reject(BoxError::from("no")));
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

#[derive(Event)]
enum Either {
    Captured(PaymentCaptured),
    Reserved(StockReserved),
}

async fn note(either: Either) {
    match either {
        Either::Captured(PaymentCaptured { order_id }) | Either::Reserved(StockReserved { order_id }) => {
            drop(order_id);
        }
    }
}

/// So many answers, sorted by instance.
async fn ask(bench: &Bench, subject: &str, count: usize) -> Vec<Value> {
    let inbox = bench.client.new_inbox();
    let mut answers = bench.client.subscribe(inbox.clone()).await.unwrap();
    let mut found: Vec<Value> = Vec::new();
    let asking = async {
        // An instance may not have subscribed yet.
        while found.len() < count {
            bench.client.publish_with_reply(subject.to_owned(), inbox.clone(), "".into()).await.unwrap();
            while let Ok(Some(answer)) =
                tokio::time::timeout(Duration::from_millis(500), answers.next()).await
            {
                if answer.status.is_some() {
                    continue; // nobody is there yet
                }
                let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                if !found.iter().any(|other| other["id"] == answer["id"]) {
                    found.push(answer);
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
    found.sort_by_key(|answer| answer["id"].to_string());
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_instance_says_who_it_is_and_what_it_did() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let payment = || bench.service("payment").on(charge).version("1.2.3");
    let (one, _two) = (payment().start().await.unwrap(), payment().start().await.unwrap());
    let audit = bench.service("audit").on(note).start().await.unwrap();

    let pings = ask(&bench, "$SRV.PING", 4).await;
    let mut names: Vec<_> = pings.iter().map(|ping| ping["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["audit", "order", "payment", "payment"]);
    assert!(pings.iter().all(|ping| ping["type"] == "io.nats.micro.v1.ping_response"));

    let infos = ask(&bench, "$SRV.INFO.payment", 2).await;
    let info = &infos[0];
    assert_eq!((&info["version"], &info["metadata"]["laban.service"]), (&"1.2.3".into(), &"payment".into()));
    assert_eq!(info["endpoints"][0]["name"], "charge");
    assert_eq!(info["endpoints"][0]["subject"], "order.placed.*");
    assert_eq!(info["endpoints"][0]["queue_group"], "payment_charge_order_placed");
    let id = info["id"].as_str().unwrap();
    let alone = ask(&bench, &format!("$SRV.INFO.payment.{id}"), 1).await;
    assert_eq!(alone[0], *info);
    let audits = ask(&bench, "$SRV.INFO.audit", 1).await;
    let endpoints = audits[0]["endpoints"].as_array().unwrap();
    let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["note-payment-captured", "note-inventory-reserved"]);

    bench.place("good").await;
    let bad = OrderPlaced { order_id: "bad".to_owned(), amount_cents: 666 };
    bench.publish(&bad, laban::EventId::root()).await;
    bench.until_record("payment", "good", "captured").await;
    bench.until_record("payment", "bad", "_dead").await;
    let sum = |stats: &[Value], what: &str| {
        stats.iter().map(|one| one["endpoints"][0][what].as_u64().unwrap()).sum::<u64>()
    };
    let stats = ask(&bench, "$SRV.STATS.payment", 2).await;
    assert_eq!((sum(&stats, "num_requests"), sum(&stats, "num_errors")), (2, 1));
    let errors: Vec<_> = stats.iter().filter_map(|one| one["endpoints"][0]["last_error"].as_str()).collect();
    assert!(errors.contains(&"no"), "{errors:?}");
    assert!(sum(&stats, "processing_time") >= 10_000_000, "{stats:?}");
    assert!(stats[0]["started"].as_str().unwrap().ends_with('Z'));
    tells_of_itself(&stats, &bench).await;

    // A service that stops answers no more, and its drain does not wait for that.
    for running in [one, audit] {
        running.stop();
        running.wait().await.unwrap();
    }
    assert_eq!(ask(&bench, "$SRV.PING", 2).await.len(), 2);
}

/// The clock, the contract and the spans of each instance.
async fn tells_of_itself(stats: &[Value], bench: &Bench) {
    let bucket = bench.jetstream().get_stream(laban_wire::contract::STREAM).await.unwrap();
    let key = laban_wire::contract::subject_of(&"payment".parse().unwrap());
    let registered = bucket.get_last_raw_message_by_subject(&key).await.unwrap().payload;
    let registered = laban_wire::contract_fingerprint(&serde_json::from_slice(&registered).unwrap());
    for one in stats {
        let data: laban_wire::InstanceData = serde_json::from_value(one["data"].clone()).unwrap();
        let off = time::OffsetDateTime::now_utc() - data.now.unwrap();
        // On this very machine, and asked just now; a machine at work may take its time.
        assert!((time::Duration::ZERO..time::Duration::MINUTE).contains(&off), "{off}");
        assert_eq!(data.contract.as_ref(), Some(&registered), "as it is in the bucket");
        assert_eq!((data.ip.as_deref(), data.pid), (Some("127.0.0.1"), Some(std::process::id())));
        assert_eq!(data.spans, Some(laban_wire::SpanTotals::default()));
    }
}
