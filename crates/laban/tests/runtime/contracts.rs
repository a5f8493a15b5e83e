//! What a service says of itself on the broker, and what it must not break.

use std::time::Duration;

use laban::{Contract, Error, Event, Failure, Handler as _, Retry, Service};
use laban_wire::compatibility::BreakKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bench::*;

async fn charge(order: OrderPlaced) -> Result<PaymentCaptured, Failure<PaymentDeclined>> {
    Ok(PaymentCaptured { order_id: order.order_id })
}

async fn refund(_: StockReserved) {}

/// The same event, as somebody changed it.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
struct Changed {
    order_id: String,
    amount_cents: u64,
}

async fn charge_changed(order: OrderPlaced) -> Changed {
    Changed { order_id: order.order_id, amount_cents: order.amount_cents }
}

/// And as it should have been changed.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 2, flow = order_id, from = PaymentCaptured)]
struct Captured2 {
    order_id: String,
    amount_cents: u64,
}

impl From<PaymentCaptured> for Captured2 {
    fn from(old: PaymentCaptured) -> Self {
        Self { order_id: old.order_id, amount_cents: 0 }
    }
}

async fn charge_2(order: OrderPlaced) -> Captured2 {
    Captured2 { order_id: order.order_id, amount_cents: order.amount_cents }
}

/// All that is registered of a service, oldest first: sequences and bodies.
async fn registered(bench: &Bench, service: &str) -> Vec<(u64, Contract)> {
    let reader = laban_wire::FlowReader::new(bench.client.clone());
    let found =
        reader.leader("KV_laban_contracts", &format!("$KV.laban_contracts.{service}"), 1).await.unwrap();
    found.iter().map(|one| (one.seq, serde_json::from_slice(&one.payload).unwrap())).collect()
}

/// Starts the service and stops it.
async fn start(service: Service) -> laban::Result<()> {
    let running = service.start().await?;
    running.stop();
    running.wait().await
}

fn refused(result: laban::Result<()>) -> (String, Vec<laban_wire::compatibility::BrokenEvent>) {
    match result {
        Err(error @ Error::Breaking { .. }) => {
            let told = error.to_string();
            let Error::Breaking { broken, .. } = error else { unreachable!() };
            (told, broken)
        }
        other => panic!("it was not refused: {other:?}"),
    }
}

#[test]
fn a_contract_says_all_that_the_handlers_say() {
    let hour = Duration::from_secs(3600);
    let service = Service::new("payment")
        .on(charge.retry(Retry::never()).timeout(hour).skip_history())
        .on(refund.compensates::<PaymentCaptured>().at_least_once());
    let contract = service.contract().unwrap();
    let json = serde_json::to_value(&contract).unwrap();
    assert_eq!(
        json["handlers"],
        serde_json::json!([
            {
                "name": "charge", "consumes": ["order.placed"], "emits": ["payment.captured"],
                "fails_with": ["payment.declined"], "timeout_ms": 3_600_000, "skips_history": true,
                "retry": {"max_attempts": 1, "first_delay_ms": 200, "max_delay_ms": 60_000},
            },
            {
                "name": "refund", "consumes": ["inventory.reserved"], "emits": [],
                "compensates": ["payment.captured"], "timeout_ms": 60_000, "at_least_once": true,
                "retry": {"max_attempts": 20, "first_delay_ms": 200, "max_delay_ms": 60_000},
            },
        ])
    );
    let events: Vec<_> = contract.events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["inventory.reserved", "order.placed", "payment.captured", "payment.declined"]);
    assert_eq!(contract.events[2].schema["properties"]["order_id"]["type"], "string");
    assert_eq!(serde_json::from_value::<Contract>(json).unwrap(), contract);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_that_start_at_once_register_one_contract() {
    let bench = Bench::start().await;
    let service = || bench.service("payment").on(charge);
    let (one, two, three) = tokio::join!(start(service()), start(service()), start(service()));
    one.and(two).and(three).unwrap();
    let found = registered(&bench, "payment").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].1, service().contract().unwrap());
    // A bucket as any client expects it.
    let info = bench.jetstream().get_stream("KV_laban_contracts").await.unwrap().cached_info().clone();
    assert_eq!(info.config.max_messages_per_subject, 8);
    assert!(info.config.allow_rollup && info.config.deny_delete && info.config.allow_direct);
    // What harms nobody is registered, and only that.
    start(service().on(refund)).await.unwrap();
    start(service().on(refund)).await.unwrap();
    let found = registered(&bench, "payment").await;
    assert_eq!(found.iter().map(|(_, contract)| contract.handlers.len()).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn a_breaking_change_needs_a_new_version() {
    let bench = Bench::start().await;
    start(bench.service("payment").on(charge)).await.unwrap();
    let changed = || bench.service("payment").on(charge_changed);
    let (told, broken) = refused(start(changed()).await);
    for hint in [
        "service payment: payment.captured version 1",
        "`amount_cents` is new and required",
        "make it version 2",
        "from = ",
        "LABAN_ALLOW_BREAKING=payment.captured",
    ] {
        assert!(told.contains(hint), "{hint:?} is not in: {told}");
    }
    assert_eq!(broken[0].breaks[0].kind, BreakKind::NewRequiredField);
    assert_eq!(registered(&bench, "payment").await.len(), 1, "what was refused is not registered");

    start(bench.service("payment").on(charge_2)).await.unwrap();
    let (told, _) = refused(start(bench.service("payment").on(charge)).await);
    assert!(told.contains("version 2 is registered") && told.contains("keep version 2"), "{told}");
    // Others may know an older version of it: it is not theirs.
    async fn read(_: PaymentCaptured) {}
    start(bench.service("audit").on(read)).await.unwrap();
}

#[tokio::test]
async fn an_operator_may_break_what_nobody_reads() {
    let bench = Bench::start().await;
    start(bench.service("payment").on(charge)).await.unwrap();
    let changed = || bench.service("payment").on(charge_changed);
    refused(start(changed().setting("LABAN_ALLOW_BREAKING", "payment.declined")).await);
    start(changed().setting("LABAN_ALLOW_BREAKING", "payment.captured")).await.unwrap();
    // It is registered now, and needs no leave any more.
    start(changed()).await.unwrap();
    // What was registered by mistake is taken back as `nats kv del` does.
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("KV-Operation", "DEL");
    let context = bench.jetstream();
    let deleted =
        context.publish_with_headers("$KV.laban_contracts.payment", headers, "".into()).await.unwrap();
    deleted.await.unwrap();
    start(bench.service("payment").on(charge)).await.unwrap();
}

#[tokio::test]
async fn a_service_that_may_not_write_there_starts_all_the_same() {
    let users = r#"
        authorization { users = [
            {user: boss, password: hush}
            {user: payment, password: hush, permissions: {publish: {deny: ["$KV.>", "$JS.API.STREAM.MSG.GET.KV_laban_contracts"]}}}
        ] }"#;
    let broker = laban_testkit::Broker::builder().config(users).start().await.unwrap();
    let service = || {
        let service = Service::new("payment").on(charge).own_telemetry().setting("NATS_URL", broker.url());
        service.setting("NATS_USER", "payment").setting("NATS_PASSWORD", "hush")
    };
    start(service()).await.unwrap();
    // Nobody wrote there.
    let boss = async_nats::ConnectOptions::with_user_and_password("boss".into(), "hush".into());
    let client = boss.connect(broker.url()).await.unwrap();
    let bucket = async_nats::jetstream::new(client).get_stream("KV_laban_contracts").await;
    assert!(bucket.is_err() || bucket.unwrap().cached_info().state.messages == 0);
}
