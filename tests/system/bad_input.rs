//! Bad input ends as a clear error to whoever sent it, or as a dead letter with a reason. It stops nobody, and no flow is lost.

use async_nats::{HeaderMap, jetstream};
use demo::orders::Plan;
use laban_flow::State;
use laban_tests::{Outcome, RawHttp, Shop, headers};
use laban_wire::FlowId;

use crate::foreign::body;
use crate::letters::assert_dead;

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
    let shop = Shop::impatient().await?;
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
    let shop = Shop::impatient().await?;
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
