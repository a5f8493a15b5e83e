//! Bad input ends as a clear error to whoever sent it, or as a dead letter with a reason. It stops nobody, and no flow is lost.

use std::time::Duration;

use async_nats::{HeaderMap, jetstream};
use demo::audit::ends;
use demo::orders::Plan;
use demo::{History, Settings};
use laban_flow::{Flow, State};
use laban_testkit::{Broker, wait};
use laban_tests::{Outcome, RawHttp, RawNats, Shop, headers};
use laban_wire::FlowId;

use crate::foreign::body;

/// Those who react to `order.placed`.
const READERS: [&str; 3] = ["inventory", "notification", "payment"];
const SOON: Duration = Duration::from_secs(60);

/// Waits until each reader has a dead letter for this flow, and looks for `hint` in the reason of each.
async fn assert_dead(history: &mut History, key: &str, hint: &str) -> Outcome<Flow> {
    let id = FlowId::new(key)?;
    let mut last = None;
    let dead = wait::until("three dead letters", SOON, async || {
        if history.read_on().await.is_ok() {
            last = history.flow(&id);
        }
        last.as_ref().is_some_and(|flow| flow.dead_letters().count() == READERS.len())
    });
    let dead = dead.await;
    let flow = last.ok_or_else(|| format!("flow {key:?}: no stream has a record of it"))?;
    let mut readers: Vec<&str> = flow.dead_letters().map(|step| step.service.as_str()).collect();
    readers.sort_unstable();
    assert!(
        dead.is_ok(),
        "flow {key:?}: expected dead letters of {READERS:?}, there are those of {readers:?}"
    );
    assert_eq!((readers.as_slice(), flow.state), (&READERS[..], State::Dead), "flow {key:?}");
    for letter in flow.dead_letters() {
        let reason = letter.error.as_deref().unwrap_or_default();
        assert!(reason.contains(hint), "flow {key:?}: expected {hint:?} in the reason, it is {reason:?}");
    }
    Ok(flow)
}

/// After all that, the shop still works, and its services are the processes that they were.
async fn assert_serves(shop: &Shop, seed: u64, aside: &[&str]) -> Outcome {
    let plan = Plan::new(20, seed);
    let placed = shop.place(&plan).await;
    let mut over = shop.over(&plan, &placed).await?;
    over.audit
        .findings
        .retain(|finding| !aside.iter().any(|key| *finding == format!("flow {key}: nobody ordered it")));
    over.assert_as_planned(&plan);
    shop.all_alive()?;
    Ok(())
}

#[tokio::test]
async fn a_client_hears_what_is_wrong_with_its_request() -> Outcome {
    let shop = Shop::open().await?;
    let plan = Plan::malformed();
    assert!(plan.refused() >= 20, "expected many malformed requests, there are {}", plan.refused());
    shop.serves(&plan).await?.assert_as_planned(&plan);
    assert_serves(&shop, 50, &[]).await
}

/// Line breaks in headers: HTTP itself refuses them, percent-encoded ones in baggage are text.
#[tokio::test]
async fn line_breaks_in_http_headers_do_no_harm() -> Outcome {
    let shop = Shop::open().await?;
    let url = shop.mesh.door().url().ok_or("expected the shop to be open")?;
    let order = |id: &str| {
        let lines = serde_json::json!([{ "sku": "mug", "quantity": 1, "unit_price_cents": 900 }]);
        let body = serde_json::json!({ "order_id": id, "customer": "ada", "card": "visa", "lines": lines });
        body.to_string().into_bytes()
    };
    for lines in [
        &b"idempotency-key: a\rb\r\n"[..],
        b"idempotency-key: a\x00b\r\n",
        b"idempotency-key: a\r\n b: c\r\n",
        b"trace\rparent: x\r\n",
        b"no colon\r\n",
    ] {
        let (status, answer) = RawHttp::post(&url, lines, &order("never")).await?;
        assert_eq!(status, 400, "expected {:?} to be refused: {answer}", String::from_utf8_lossy(lines));
    }
    let taken = [
        ("baggage", &b"baggage: user=ada%0D%0ANats-Rollup:%20all,x=%00\r\n"[..]),
        ("tracestate", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=b,\t c=d\r\n"),
        ("traceparent", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736\r\n"),
    ];
    let mut flows = Vec::new();
    for (id, lines) in taken {
        let (status, answer) = RawHttp::post(&url, lines, &order(id)).await?;
        assert_eq!(status, 202, "expected {:?} to be taken: {answer}", String::from_utf8_lossy(lines));
        flows.push(FlowId::new(id)?);
    }
    let history = shop.settled(&flows).await?;
    assert_eq!(history.ids().count(), flows.len(), "expected nothing of the orders that were refused");
    for id in &flows {
        let flow = history.flow(id).ok_or_else(|| format!("expected flow {id} to be there"))?;
        assert_eq!(flow.state, State::Completed, "flow {id}");
        let rollup = history.messages(id).iter().any(|stored| stored.headers.get("Nats-Rollup").is_some());
        assert!(!rollup, "flow {id}: expected no header made of baggage");
    }
    shop.all_alive()?;
    Ok(())
}

#[tokio::test]
async fn events_that_cannot_be_understood_are_dead_letters() -> Outcome {
    const ID: &str = "id=0199f3c2-0000-7000-8000-000000000001";
    let shop = Shop::open().await?;
    let context = jetstream::new(shop.mesh.client().await?);
    let laban = |value: String| headers([("Laban", value.as_str())]);
    let cases = [
        ("broken off", HeaderMap::new(), b"{\"order_id\": \"broken".to_vec(), "EOF while parsing"),
        ("no text", HeaderMap::new(), b"\xff\xfe\x00".to_vec(), "expected value"),
        ("nothing", HeaderMap::new(), Vec::new(), "EOF while parsing"),
        (
            "another shape",
            HeaderMap::new(),
            b"{\"order_id\": \"another shape\"}".to_vec(),
            "missing field `customer`",
        ),
        ("another flow", HeaderMap::new(), body("somebody else's"), "somebody else's"),
        ("later", laban(format!("{ID} v=99")), body("later"), "version 99"),
        ("no id", laban("v=1".into()), body("no id"), "field `id`"),
        ("no version", laban(format!("{ID} v=one")), body("no version"), "field `v`"),
    ];
    for (key, headers, body, _) in &cases {
        let subject = format!("order.placed.{}", FlowId::new(key)?.token());
        context.publish_with_headers(subject, headers.clone(), body.clone().into()).await?.await?;
    }
    let mut history = shop.history().await?;
    for (key, _, _, hint) in &cases {
        assert_dead(&mut history, key, hint).await?;
    }
    let aside: Vec<&str> = cases.iter().map(|(key, ..)| *key).collect();
    assert_serves(&shop, 51, &aside).await
}

/// A subject that is no flow: stored when it has three parts, and then a dead letter; refused at once otherwise.
#[tokio::test]
async fn subjects_that_name_no_flow() -> Outcome {
    let shop = Shop::open().await?;
    let context = jetstream::new(shop.mesh.client().await?);
    context.publish("order.placed.Köln", body("Köln").into()).await?.await?;
    let mut history = shop.history().await?;
    assert_dead(&mut history, "Köln", "`Köln` is not an escaped flow id").await?;
    let unheard = context.publish("order.placed.a.b", body("a.b").into()).await?.await;
    assert!(unheard.is_err(), "expected a publisher with an unescaped id to hear that no stream takes it");
    let plan = Plan::new(10, 52);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    assert_eq!((over.audit.stuck, over.audit.flows), (0, 10), "{:?}", over.audit.findings);
    shop.all_alive()?;
    Ok(())
}

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

/// Around the broker's limit: whatever its size, an order is refused, or its flow ends; a record that outgrows the limit on the
/// way is a dead letter.
#[tokio::test]
async fn payloads_over_the_limit() -> Outcome {
    const LIMIT: usize = 2048;
    let broker = Broker::builder().max_payload(LIMIT).start().await?;
    let shop = Shop::with(Settings { broker: Some(broker), ..Settings::default() }).await?;
    let url = shop.mesh.door().url().ok_or("expected the shop to be open")?;
    let http = reqwest::Client::new();
    let (mut taken, mut refused) = (Vec::new(), 0);
    for bytes in (800..2_200).step_by(20) {
        let id = format!("{bytes} bytes");
        let (status, said) = order_of(&http, &url, &id, bytes).await?;
        match status {
            202 => taken.push(FlowId::new(&id)?),
            422 => {
                refused += 1;
                for expected in ["not_taken", "2048", "max_payload"] {
                    assert!(said.contains(expected), "{id}: expected {expected:?} in: {said}");
                }
            }
            status => return Err(format!("{id}: expected 202 or 422, it was {status}: {said}").into()),
        }
    }
    assert!(refused > 0, "expected some of the orders to be refused");
    let history = shop.settled(&taken).await?;
    let (mut cancelled, mut dead) = (0, 0);
    for id in &taken {
        let flow = history.flow(id).ok_or_else(|| format!("expected flow {id} to be there"))?;
        match flow.dead_letters().next() {
            None => cancelled += ends(&history, id).len(),
            Some(letter) => {
                dead += 1;
                let reason = letter.error.as_deref().unwrap_or_default();
                assert!(reason.contains("2048") && reason.contains("max_payload"), "flow {id}: {reason}");
            }
        }
    }
    assert_eq!(
        cancelled + dead,
        taken.len(),
        "expected each flow to end once, cancelled or with a dead letter"
    );
    assert!(cancelled > 0 && dead > 0, "expected some of each, there are {cancelled} cancelled, {dead} dead");
    let plan = Plan::new(20, 54);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    assert_eq!(over.audit.completed.len(), plan.completed(), "expected the shop to go on");
    shop.all_alive()?;
    Ok(())
}

/// Places an order of about so many bytes, for goods that are missing.
async fn order_of(http: &reqwest::Client, url: &str, id: &str, bytes: usize) -> Outcome<(u16, String)> {
    const LINE: usize = 110;
    let line = |n| serde_json::json!({ "sku": format!("{n:064}"), "quantity": 1, "unit_price_cents": 900 });
    let lines: Vec<_> = (0..bytes / LINE).map(line).collect();
    let customer = "x".repeat(1 + bytes % LINE);
    let order = serde_json::json!({ "order_id": id, "customer": customer, "card": "visa", "lines": lines });
    let answer = http.post(url).json(&order).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
