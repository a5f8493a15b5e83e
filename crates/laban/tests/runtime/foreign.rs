//! Messages that no Laban service wrote.

use async_nats::HeaderMap;
use laban::EventId;
use laban_wire::{Dead, DeadReason};

use crate::bench::*;

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

const BODY: &[u8] = br#"{"order_id":"4711","amount_cents":1}"#;

#[tokio::test]
async fn a_body_alone_is_an_event() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    let seq = bench.publish_raw("order.placed", "4711", HeaderMap::new(), BODY).await;
    let records = bench.until_records("payment", "4711", 1).await;
    let reaction = records[0].meta.reaction.as_ref().unwrap();
    assert_eq!((names(&records)[0], reaction.cause), ("captured", EventId::of_stored("ORDER", seq)));
}

#[tokio::test]
async fn cloud_events_are_read_and_written() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).cloud_events().start().await.unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [("ce-id", "A-1"), ("ce-source", "/till"), ("ce-type", "order.placed")] {
        headers.insert(name, value);
    }
    bench.publish_raw("order.placed", "4711", headers, BODY).await;
    let records = bench.until_records("payment", "4711", 1).await;
    assert_eq!(records[0].meta.reaction.as_ref().unwrap().cause, EventId::foreign("/till", "A-1"));
    let stored = &bench.stored("payment", "payment.captured.4711").await[0];
    let header =
        |name: &str| stored.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
    assert_eq!(header("ce-id"), records[0].meta.id.to_string());
    assert_eq!((header("ce-source"), header("ce-type")), ("/payment".into(), "payment.captured".into()));
}

#[tokio::test]
async fn an_unreadable_message_is_a_dead_letter_of_the_flow_it_names() {
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Laban", "id=broken");
    bench.publish_raw("order.placed", "4711", headers, BODY).await;
    let context = bench.jetstream();
    context.publish("order.placed.Köln", BODY.into()).await.unwrap().await.unwrap();
    bench.publish_raw("order.placed", "another", HeaderMap::new(), BODY).await;
    bench.place("good").await;
    for (flow, reason, hint) in [
        ("4711", DeadReason::Unreadable, "field `id`"),
        ("Köln", DeadReason::Unreadable, "`Köln` is not an escaped flow id"),
        (
            "another",
            DeadReason::Undecodable,
            "its body belongs to flow `4711`, its subject to flow `another`",
        ),
    ] {
        let records = bench.until_records("payment", flow, 1).await;
        let dead: Dead = serde_json::from_slice(&records[0].payload).unwrap();
        assert_eq!(dead.reason, reason);
        assert!(dead.error.contains(hint), "{}", dead.error);
    }
    assert_eq!(names(&bench.until_records("payment", "good", 1).await), ["captured"]);
    let lost = context.publish("order.placed.a.b", BODY.into()).await.unwrap().await;
    assert!(lost.is_err(), "a flow id that was not escaped finds no stream");
}

/// Stores events with these header blocks, byte by byte, and expects each to be a dead letter, and the service to go on.
async fn stops_nobody(blocks: &[&[u8]]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bench = Bench::start().await;
    let _order = bench.home::<OrderPlaced>("order").await;
    let _payment = bench.service("payment").on(charge).start().await.unwrap();
    let mut tcp = tokio::net::TcpStream::connect(("127.0.0.1", bench.broker.port())).await.unwrap();
    tcp.write_all(b"CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1}\r\n").await.unwrap();
    for (n, block) in blocks.iter().enumerate() {
        let (head, total) = (block.len(), block.len() + BODY.len());
        tcp.write_all(format!("HPUB order.placed.bad{n} {head} {total}\r\n").as_bytes()).await.unwrap();
        tcp.write_all(block).await.unwrap();
        tcp.write_all(BODY).await.unwrap();
        tcp.write_all(b"\r\n").await.unwrap();
    }
    tcp.write_all(b"PING\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("PONG") {
        let mut buffer = [0; 1024];
        let read = tcp.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the broker hung up: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..read]);
    }
    bench.place("good").await;
    // It may have been on its way when the connection was dropped.
    bench.until_record("payment", "good", "captured").await;
    for n in 0..blocks.len() {
        let records = bench.until_record("payment", &format!("bad{n}"), "_dead").await;
        let dead: Dead = serde_json::from_slice(&records.last().unwrap().payload).unwrap();
        assert_eq!(dead.reason, DeadReason::Unreadable);
        assert!(dead.error.starts_with("header block: "), "{}", dead.error);
        assert_eq!(dead.input.payload.unwrap().to_bytes(), BODY);
    }
    bench.until_settled("ORDER", "payment_charge_order_placed").await;
}

/// A raw client can store a header block that the client library cannot parse, and drops its connection over.
#[tokio::test]
async fn a_malformed_header_block_stops_nobody() {
    let blocks: [&[u8]; 4] = [
        b"NATS/1.0\r\nno colon here\r\n\r\n",
        b"NATS/1.0\r\nbad name: 1\r\n\r\n",
        b"NATS/1.0\r\nx: \xff\xfe\r\n\r\n",
        b"HTTP/1.1\r\nx: 1\r\n\r\n",
    ];
    stops_nobody(&blocks).await;
}

/// This one ends the task of the client library's connection, and with it the client for good.
#[tokio::test]
async fn a_block_that_ends_the_client_stops_nobody() {
    stops_nobody(&[b"NATS/1.0\r\nx: a\rb\r\n\r\n"]).await;
}
