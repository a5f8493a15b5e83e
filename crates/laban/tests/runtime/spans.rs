//! One flow is one trace.

use std::sync::{Arc, LazyLock, Mutex};

use laban::{Begun, Cause, Failure, Handler as _, OrRetry as _, Retry};
use laban_testkit::Proxy;
use opentelemetry::trace::{SpanId, SpanKind};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::sync::Notify;

use crate::bench::*;
use crate::deadlines::{Answered, give_up};

/// Every span that has ended. The process has one global provider; spans of a test are told apart by their trace.
#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collected {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

static SPANS: LazyLock<Collected> = LazyLock::new(|| {
    let collected = Collected::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(collected.clone()).build();
    opentelemetry::global::set_tracer_provider(provider);
    collected
});

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    span.attributes.iter().find(|a| a.key.as_str() == name).map(|a| a.value.to_string())
}

/// The spans of a trace, once so many have ended.
async fn trace(trace_id: &str, count: usize) -> Vec<SpanData> {
    let what = format!("{count} spans of trace {trace_id}");
    let found = laban_testkit::wait::until_some(&what, PATIENCE, async || {
        let mut spans = SPANS.0.lock().unwrap().clone();
        spans.retain(|span| span.span_context.trace_id().to_string() == trace_id);
        spans.sort_by_key(|span| span.start_time);
        (spans.len() >= count).then_some(spans)
    });
    found.await.unwrap().0
}

/// It begins a trace, for an event of flow 4711 that was published in another, to which a link leads.
#[track_caller]
fn assert_begins_a_trace(new: &SpanData, published_in: &SpanData) {
    assert_eq!((new.name.as_ref(), new.parent_span_id), ("process order.placed.{flow}", SpanId::INVALID));
    let (linked, published_by) = (&new.links[0].span_context, &published_in.span_context);
    assert_eq!((linked.trace_id(), linked.span_id()), (published_by.trace_id(), published_by.span_id()));
    assert_eq!(attribute(new, "laban.flow").as_deref(), Some("4711"), "and found by its flow");
}

async fn once_more(order: OrderPlaced, cause: Cause) -> Result<PaymentCaptured, Failure> {
    if cause.attempt == 1 {
        Err("bank closed").or_retry()?;
    }
    Ok(PaymentCaptured { order_id: order.order_id })
}

#[tokio::test]
async fn send_and_process_follow_the_causes() {
    LazyLock::force(&SPANS);
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let quick = Retry { first_delay: std::time::Duration::from_millis(1), ..Retry::default() };
    let _payment = bench.service("payment").on(once_more.retry(quick)).start().await.unwrap();
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let Begun::Now(receipt) = order.emitter().begin(&placed).await.unwrap() else { panic!("it is new") };
    let records = bench.until_records("payment", "4711", 2).await;
    let spans = trace(&receipt.trace_id.unwrap(), 4).await;
    let by_id = |id: SpanId| spans.iter().find(|span| span.span_context.span_id() == id).unwrap();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();

    let sent = named("send order.placed.{flow}")[0];
    assert_eq!((sent.span_kind.clone(), sent.parent_span_id), (SpanKind::Producer, SpanId::INVALID));
    assert_eq!(attribute(sent, "messaging.message.id"), Some(receipt.event_id.to_string()));

    let attempts = named("process order.placed.{flow}");
    assert_eq!(attempts.len(), 2, "each attempt is a span");
    for (attempt, outcome) in attempts.iter().zip(["retrying", "emitted"]) {
        assert_eq!(attempt.span_kind, SpanKind::Consumer);
        assert_eq!(attempt.parent_span_id, sent.span_context.span_id());
        assert_eq!(attempt.links[0].span_context.span_id(), sent.span_context.span_id());
        assert_eq!(attribute(attempt, "laban.outcome").as_deref(), Some(outcome));
        assert_eq!(attribute(attempt, "laban.flow").as_deref(), Some("4711"));
        assert_eq!(attribute(attempt, "messaging.system").as_deref(), Some("nats"));
    }
    assert_eq!(attempts[0].status, opentelemetry::trace::Status::error("bank closed"));

    let captured = named("send payment.captured.{flow}")[0];
    assert_eq!(captured.parent_span_id, attempts[1].span_context.span_id());
    // What the records say of their spans is what there is.
    let of_record = |n: usize| by_id(SpanId::from(records[n].trace.unwrap().span_id)).name.clone();
    assert_eq!(of_record(0), "process order.placed.{flow}");
    assert_eq!(of_record(1), "send payment.captured.{flow}");
    for span in &spans {
        assert!(
            span.attributes.iter().all(|a| !a.value.to_string().contains("amount")),
            "no payloads in spans"
        );
    }
}

async fn rejecting(
    _: OrderPlaced,
    mended: laban::State<std::sync::Arc<std::sync::atomic::AtomicBool>>,
) -> Result<(), Failure> {
    if mended.load(std::sync::atomic::Ordering::Relaxed) { Ok(()) } else { Err(Failure::reject("no")) }
}

#[tokio::test]
async fn a_redrive_begins_a_new_trace_that_is_linked_to_the_old_one() {
    LazyLock::force(&SPANS);
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let _audit = bench.service("audit").state(mended.clone()).on(rejecting).start().await.unwrap();
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let Begun::Now(receipt) = order.emitter().begin(&placed).await.unwrap() else { panic!("it is new") };
    let dead = bench.until_record("audit", "4711", "_dead").await;
    mended.store(true, std::sync::atomic::Ordering::Relaxed);
    let edited = r#"{"order_id":"4711","amount_cents":2}"#;
    crate::redrives::redrive_with(&bench, "audit", &dead[0], Some(edited)).await;
    let records = bench.until_record("audit", "4711", "_handled").await;
    let old = trace(&receipt.trace_id.clone().unwrap(), 2).await;
    let handled = records.last().unwrap().trace.unwrap();
    let new = trace(&format!("{:032x}", handled.trace_id), 1).await;
    assert_ne!(new[0].span_context.trace_id(), old[0].span_context.trace_id());
    assert_eq!(
        new[0].links[0].span_context.span_id(),
        old[0].span_context.span_id(),
        "linked to what published it"
    );
    assert_eq!(attribute(&new[0], "laban.flow").as_deref(), Some("4711"), "and found by its flow");
}

#[tokio::test]
async fn a_replay_begins_a_new_trace_that_is_linked_to_the_old_one() {
    LazyLock::force(&SPANS);
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let Begun::Now(receipt) = order.emitter().begin(&placed).await.unwrap() else { panic!("it is new") };
    let mended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let _audit = bench.service("audit").state(mended).on(rejecting.skip_history()).start().await.unwrap();
    let request = laban_wire::ReplayRequest { stream: "ORDER".into(), seq: 1, attempt: 1 };
    assert_eq!(crate::replays::ask(&bench, "audit.rejecting", &request).await, laban_wire::Replayed::Handled);
    let records = bench.until_record("audit", "4711", "_handled").await;
    let old = trace(&receipt.trace_id.clone().unwrap(), 1).await;
    assert_eq!(old.len(), 1, "a replay adds nothing to the old trace");
    let new = trace(&format!("{:032x}", records[0].trace.unwrap().trace_id), 1).await;
    assert_begins_a_trace(&new[0], &old[0]);
}

#[tokio::test]
async fn a_run_that_a_deadline_started_begins_a_new_trace_that_is_linked_to_the_old_one() {
    LazyLock::force(&SPANS);
    let bench = Bench::start().await;
    let handler = give_up.unless::<Answered>(std::time::Duration::from_millis(1));
    let order = bench.service("order").emits::<OrderPlaced>().on(handler).start().await.unwrap();
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let Begun::Now(receipt) = order.emitter().begin(&placed).await.unwrap() else { panic!("it is new") };
    let records = bench.until_record("order", "4711", "payment-overdue").await;
    let old = trace(&receipt.trace_id.clone().unwrap(), 1).await;
    assert_eq!(old.len(), 1, "setting the timer is no span");
    let overdue = records.last().unwrap().trace.unwrap();
    let new = trace(&format!("{:032x}", overdue.trace_id), 2).await;
    assert_ne!(new[0].span_context.trace_id(), old[0].span_context.trace_id());
    assert_begins_a_trace(&new[0], &old[0]);
    assert_eq!(new[1].name, "send order.payment-overdue.{flow}");
}

/// Charges, and has the broker hear of it late: from here on nothing passes the proxy.
async fn charge_behind(order: OrderPlaced, behind: laban::State<Arc<(Proxy, Notify)>>) -> PaymentCaptured {
    let (proxy, charged) = &**behind;
    proxy.stall();
    charged.notify_one();
    PaymentCaptured { order_id: order.order_id }
}

#[tokio::test]
async fn a_commit_whose_answer_comes_late_is_no_duplicate() {
    /// Longer than a commit waits for its answer. On a machine so slow that it gets its answer all the same, nothing is
    /// proved, and nothing fails.
    const TOO_LATE: std::time::Duration = std::time::Duration::from_secs(7);
    LazyLock::force(&SPANS);
    let bench = Bench::start().await;
    let order = bench.home::<OrderPlaced>("order").await;
    let behind = Arc::new((Proxy::start(bench.broker.addr()).await.unwrap(), Notify::new()));
    let payment = bench.service("payment").setting("LABAN_ACK_WAIT_MS", 60_000);
    let payment = payment.setting("NATS_URL", behind.0.url()).state(Arc::clone(&behind));
    let _payment = payment.on(charge_behind).start().await.unwrap();
    let placed = OrderPlaced { order_id: "4711".into(), amount_cents: 1 };
    let Begun::Now(receipt) = order.emitter().begin(&placed).await.unwrap() else { panic!("it is new") };
    behind.1.notified().await;
    tokio::time::sleep(TOO_LATE).await;
    behind.0.flow();
    bench.until_records("payment", "4711", 1).await;
    let spans = trace(&receipt.trace_id.unwrap(), 3).await;
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(attribute(of("process order.placed.{flow}"), "laban.outcome").as_deref(), Some("emitted"));
    assert_eq!(of("send payment.captured.{flow}").status, opentelemetry::trace::Status::Unset);
}
