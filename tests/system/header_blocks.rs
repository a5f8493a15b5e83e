//! Header blocks that no client library would write, sent byte by byte. A broker stores whatever it is given.

use demo::orders::Plan;
use laban_flow::State;
use laban_tests::{Outcome, RawNats, Shop};
use laban_wire::FlowId;

use crate::foreign::body;
use crate::letters::assert_dead;

/// Publishes orders with these header blocks, byte by byte, and expects each to be a dead letter; the shop goes on.
async fn header_blocks(seed: u64, cases: &[(&str, &[u8])]) -> Outcome {
    let shop = Shop::open().await?;
    let mut raw = RawNats::connect(shop.mesh.broker().port()).await?;
    for (key, block) in cases {
        raw.publish(&format!("order.placed.{key}"), block, &body(key)).await?;
    }
    // Unusual, but well-formed: a value that goes on in the next line.
    raw.publish("order.placed.folded", b"NATS/1.0\r\nx: 1\r\n more\r\n\r\n", &body("folded")).await?;
    let mut history = shop.history().await?;
    for (key, _) in cases {
        assert_dead(&mut history, key, "header block").await?;
    }
    let folded = FlowId::new("folded")?;
    let history = shop.settled([&folded]).await?;
    let flow = history.flow(&folded).ok_or("expected the folded one to be there")?;
    assert_eq!(flow.state, State::Completed, "expected the folded one to be an order: {:?}", flow.steps);
    let plan = Plan::new(20, seed);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    assert_eq!(over.audit.completed.len(), plan.completed(), "expected the shop to go on");
    shop.all_alive()?;
    Ok(())
}

/// A client library refuses to read these, and hangs up; a broker stores them all the same.
#[tokio::test]
async fn header_blocks_that_no_client_would_write() -> Outcome {
    let cases: [(&str, &[u8]); 5] = [
        ("no-colon", b"NATS/1.0\r\nno colon\r\n\r\n"),
        ("blank-in-name", b"NATS/1.0\r\nbad name: x\r\n\r\n"),
        ("no-utf8", b"NATS/1.0\r\nx: \xff\xfe\r\n\r\n"),
        ("no-version", b"HTTP/1.1\r\nx: y\r\n\r\n"),
        ("lf-in-value", b"NATS/1.0\r\nx: a\nb\r\n\r\n"),
    ];
    header_blocks(53, &cases).await
}

/// A carriage return of its own, which a client library may take for anything but what it is.
#[tokio::test]
async fn carriage_returns_in_header_blocks() -> Outcome {
    let cases: [(&str, &[u8]); 2] =
        [("cr-in-value", b"NATS/1.0\r\nx: a\rb\r\n\r\n"), ("cr-in-name", b"NATS/1.0\r\na\rb: x\r\n\r\n")];
    header_blocks(55, &cases).await
}

/// A stored message that looks like the broker's own words about a request.
#[tokio::test]
async fn messages_that_speak_for_the_broker_are_not_believed() -> Outcome {
    let shop = Shop::open().await?;
    let cases: [(&str, &[u8]); 7] = [
        ("smany", b"NATS/1.0 many\r\n\r\n"),
        ("s100", b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"),
        ("s204", b"NATS/1.0 204 EOB\r\n\r\n"),
        ("s404", b"NATS/1.0 404 No Messages\r\n\r\n"),
        ("s408", b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 0\r\n\r\n"),
        ("s409", b"NATS/1.0 409 Consumer Deleted\r\n\r\n"),
        ("s503", b"NATS/1.0 503\r\n\r\n"),
    ];
    let mut raw = RawNats::connect(shop.mesh.broker().port()).await?;
    for (key, block) in cases {
        raw.publish(&format!("order.placed.{key}"), block, &body(key)).await?;
    }
    // A status says nothing about the event: the body is an order.
    let flows: Vec<FlowId> = cases.iter().map(|(key, _)| FlowId::new(key)).collect::<Result<_, _>>()?;
    let history = shop.settled(&flows).await?;
    for id in &flows {
        let flow = history.flow(id).ok_or_else(|| format!("expected flow {id} to be there"))?;
        assert_eq!(flow.state, State::Completed, "flow {id}: {:?}", flow.steps);
    }
    shop.all_alive()?;
    Ok(())
}
