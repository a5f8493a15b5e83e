//! `LABAN_TRACE_BROKER`: what the broker tells of a message's way becomes spans, and nothing else changes.

use std::time::Duration;

use async_nats::{HeaderMap, jetstream};
use demo::Settings;
use demo::orders::Plan;
use demo::traces::{Receiver, Span, SpanKind, Trace, Wanted};
use laban_testkit::{Broker, Cluster, Process, wait};
use laban_tests::{Outcome, Shop};
use laban_wire::{EventId, HEADER, Meta, TRACEPARENT};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_life-of-a-service");
const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The spans of the broker below this one.
fn hops<'a>(trace: &'a Trace, above: &Span) -> Vec<&'a Span> {
    let below = |span: &&Span| span.service == "nats" && span.parent.as_deref() == Some(&above.id);
    trace.spans.iter().filter(below).collect()
}

fn sent(trace: &Trace) -> impl Iterator<Item = &Span> {
    trace.spans.iter().filter(|span| span.kind == SpanKind::Producer)
}

#[tokio::test]
async fn each_event_of_the_shop_is_stored_in_a_span_of_the_broker() -> Outcome {
    let env = vec![("LABAN_TRACE_BROKER", "1".to_owned())];
    let shop = Shop::with(Settings { env, traces: Wanted::Receiver, ..Settings::default() }).await?;
    let plan = Plan::plain(10, 52);
    let over = shop.serves(&plan).await?;
    over.assert_as_planned(&plan);
    for id in &over.audit.completed {
        let flow = over.history.flow(id).ok_or("the flow")?;
        let id = flow.traces().first().map(ToString::to_string).ok_or("a trace")?;
        let found = wait::until_some("a span of the broker for each that publishes", PATIENCE, async || {
            let trace = shop.mesh.traces().trace(&id).await.ok()?;
            let all = sent(&trace).count() > 4 && sent(&trace).all(|span| !hops(&trace, span).is_empty());
            (all && trace.orphans().count() == 0).then_some(trace)
        });
        let trace = found.await?.0;
        for span in sent(&trace) {
            let names: Vec<_> = hops(&trace, span).iter().map(|hop| hop.name.as_str()).collect();
            let template = span.name.strip_prefix("send ").ok_or("a name")?;
            // More than one where a fence was lost.
            assert!(
                names.iter().all(|name| *name == format!("store {template}")),
                "{names:?} below {}",
                span.name
            );
        }
    }
    Ok(())
}

/// The small service, whose spans go to the receiver.
fn service(url: &str, receiver: &Receiver, env: &[(&str, &str)]) -> Outcome<Process> {
    let mut process = Process::builder(PROGRAM)
        .arg("run")
        .env("NATS_URL", url)
        .env("LABAN_TRACE_BROKER", "1")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .env("NO_COLOR", "1");
    for (name, value) in env {
        process = process.env(name, value);
    }
    Ok(process.spawn()?)
}

fn said(process: &Process) -> String {
    std::fs::read_to_string(process.log_path()).unwrap_or_default()
}

async fn until_said(process: &Process, what: &str) -> Outcome {
    Ok(process.until(&format!("say {what:?}"), PATIENCE, async || said(process).contains(what)).await?)
}

/// Places an order, in a trace of this number's.
async fn place(client: &async_nats::Client, order: u8) -> Outcome<String> {
    let trace = format!("{}{order:02x}", &TRACE[..30]);
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, Meta::root(EventId::root(), 1).to_header());
    headers.insert(TRACEPARENT, format!("00-{trace}-00f067aa0ba902b7-01"));
    let context = jetstream::new(client.clone());
    let body = format!(r#"{{"order_id":"{order}"}}"#);
    // A stream that is electing a leader takes nothing.
    wait::until("the order to be taken", PATIENCE, async || {
        let (headers, body) = (headers.clone(), body.clone().into());
        let sent = context.publish_with_headers(format!("order.placed.{order}"), headers, body).await;
        match sent {
            Ok(taken) => taken.await.is_ok(),
            Err(_) => false,
        }
    })
    .await?;
    Ok(trace)
}

async fn order_stream(client: &async_nats::Client) -> Outcome {
    let config = jetstream::stream::Config {
        name: "ORDER".to_owned(),
        subjects: vec!["order.*.*".to_owned()],
        allow_direct: true,
        ..Default::default()
    };
    let context = jetstream::new(client.clone());
    // For a moment after its start a node of a cluster may pass for one that is away, and nothing is placed.
    wait::until("ORDER to be placed", PATIENCE, async || context.create_stream(config.clone()).await.is_ok())
        .await?;
    Ok(())
}

async fn leader(client: &async_nats::Client, stream: &str) -> Option<String> {
    let stream = jetstream::new(client.clone()).get_stream(stream).await.ok()?;
    stream.cached_info().cluster.as_ref()?.leader.clone()
}

#[tokio::test]
async fn in_a_cluster_the_way_to_the_leader_is_seen() -> Outcome {
    let cluster = Cluster::start().await?;
    let client = async_nats::connect(cluster.urls()).await?;
    order_stream(&client).await?;
    let receiver = Receiver::start()?;
    let first = service(&cluster.url(), &receiver, &[("LABAN_REPLICAS", "3")])?;
    until_said(&first, "started").await?;
    first.kill();

    let leader = wait::until_some("a leader", PATIENCE, async || leader(&client, "PAYMENT").await).await?.0;
    let leader = cluster.named(&leader).ok_or("a node of the leader's name")?;
    let other = (leader + 1) % cluster.len();
    let payment = service(&cluster.node(other).url(), &receiver, &[("LABAN_REPLICAS", "3")])?;
    until_said(&payment, "hops are traced").await?;
    // After an election the leader may be where the service is; then there is nothing to hand on.
    for order in 1..=u8::MAX {
        let trace = place(&client, order).await?;
        let what = format!("a hop of order {order}; the service said: {}", said(&payment));
        let (hop, _) = wait::until_some(&what, PATIENCE, async || {
            let trace = receiver.trace(&trace);
            hops(&trace, sent(&trace).next()?).first().map(|hop| (*hop).clone())
        })
        .await?;
        if hop.name == "store payment.captured.{flow}" {
            jetstream::new(client.clone())
                .request("STREAM.LEADER.STEPDOWN.PAYMENT", &())
                .await
                .map(|_: Value| ())?;
            continue;
        }
        assert_eq!(hop.name, "route payment.captured.{flow}");
        let (next, _) = wait::until_some("the hop after it", PATIENCE, async || {
            hops(&receiver.trace(&trace), &hop).first().map(|hop| hop.name.clone())
        })
        .await?;
        assert_eq!(next, "store payment.captured.{flow}");
        return Ok(());
    }
    Err("the leader was always where the service is".into())
}

/// The broker would drop each message that is to be reported where its publisher may not publish.
#[tokio::test]
async fn a_service_without_the_permission_says_so_and_works() -> Outcome {
    let users = r#"
        authorization { users = [
            {user: boss, password: hush}
            {user: payment, password: hush, permissions: {publish: {deny: ["_INBOX.>"]}}}
        ] }"#;
    let broker = Broker::builder().config(users).start().await?;
    let boss = async_nats::ConnectOptions::with_user_and_password("boss".into(), "hush".into());
    let client = boss.connect(broker.url()).await?;
    order_stream(&client).await?;
    let receiver = Receiver::start()?;
    let user = [("NATS_USER", "payment"), ("NATS_PASSWORD", "hush")];
    let payment = service(&broker.url(), &receiver, &user)?;
    until_said(&payment, "the broker reports nothing").await?;
    let trace = place(&client, 1).await?;
    let found = wait::until_some("the event to be published", PATIENCE, async || {
        sent(&receiver.trace(&trace)).next().map(|span| span.name.clone())
    });
    assert_eq!(found.await?.0, "send payment.captured.{flow}");
    assert!(receiver.trace(&trace).spans.iter().all(|span| span.service != "nats"));
    Ok(())
}
