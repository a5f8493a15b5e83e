//! What does not fit does not start, and says why.

use async_nats::jetstream::stream;
use laban::{Cause, Handler as _, State};
use laban_testkit::Broker;

use crate::bench::*;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { order_id: order.order_id }
}

async fn needy(_: OrderPlaced, _: State<String>, _: Cause) {}

async fn needless(_: OrderPlaced) {}

#[derive(Default)]
struct Nothing;

impl laban::FlowState for Nothing {
    fn apply(&mut self, _: &laban::Record) -> Result<(), laban::BoxError> {
        Ok(())
    }
}

async fn folding(_: OrderPlaced, _: laban::Flow<Nothing>) {}

#[track_caller]
fn refused(service: laban::Service, hints: &[&str]) {
    let error = service.contract().unwrap_err().to_string();
    for hint in hints {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
}

#[test]
fn handlers_that_do_not_fit_together() {
    let service = laban::Service::new;
    refused(
        service("billing").on(charge),
        &["`charge` of service billing", "payment.captured", "service payment"],
    );
    refused(service("payment").on(charge).on(charge), &["two handlers", "`charge`", ".named("]);
    refused(service("audit").on(needy), &["`needy`", "State<alloc::string::String>", ".state("]);
    refused(service("audit").on(async |_: OrderPlaced| {}), &["closure", ".named("]);
    refused(service("audit").on(folding.at_least_once()), &["`folding`", "at_least_once", "Flow<"]);
    let second = std::time::Duration::from_secs(1);
    refused(
        service("audit").on(needless.unless::<PaymentCaptured>(second).at_least_once()),
        &["`needless`", "at_least_once", "deadline", "leave one out"],
    );
    refused(
        service("audit").on(needless.unless::<PaymentCaptured>(std::time::Duration::ZERO)),
        &["`needless`", "deadline after 0ns", "from a millisecond"],
    );
    refused(
        service("audit").on(needless.unless::<OrderPlaced>(second)),
        &["`needless`", "unless order.placed follows", "another event"],
    );
    refused(service("Payment").on(charge), &["`Payment`"]);
    refused(service("payment"), &["no handler"]);
    assert!(service("audit").on((async |_: OrderPlaced| {}).named("note")).contract().is_ok());
}

async fn start_error(service: laban::Service) -> String {
    match service.start().await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_name_that_another_stream_has_taken() {
    let bench = Bench::start().await;
    let other = stream::Config {
        name: "EU-PAYMENTS".into(),
        subjects: vec!["payment.>".into()],
        metadata: [("laban.service".to_owned(), "payment-eu".to_owned())].into(),
        ..Default::default()
    };
    bench.jetstream().create_stream(other).await.unwrap();
    let error = start_error(bench.service("payment").on(charge)).await;
    for hint in ["service payment", "EU-PAYMENTS", "payment-eu", "PAYMENT"] {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
}

#[tokio::test]
async fn a_home_stream_that_falls_short() {
    let bench = Bench::start().await;
    let lax = stream::Config {
        name: "PAYMENT".into(),
        subjects: vec!["payment.*.*".into()],
        max_age: std::time::Duration::from_secs(86_400),
        metadata: [("laban.service".to_owned(), "payment".to_owned())].into(),
        ..Default::default()
    };
    bench.jetstream().create_stream(lax).await.unwrap();
    let error = start_error(bench.service("payment").on(charge)).await;
    for hint in ["PAYMENT", "discards old", "atomic", "1.0 days, not 30.0 days", "nats stream edit PAYMENT"] {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
}

#[tokio::test]
async fn a_timer_stream_that_could_lose_deadlines() {
    let bench = Bench::start().await;
    let forgetful = stream::Config {
        name: "AUDIT_TIMERS".into(),
        subjects: vec!["_timers.audit.*.*.*".into(), "_due.audit.*.*".into()],
        max_age: std::time::Duration::from_secs(86_400),
        metadata: [("laban.timers".to_owned(), "audit".to_owned())].into(),
        ..Default::default()
    };
    bench.jetstream().create_stream(forgetful).await.unwrap();
    let patient = || bench.service("audit").on(needless.unless::<PaymentCaptured>(DAY));
    let error = start_error(patient()).await;
    for hint in ["timer stream AUDIT_TIMERS", "workqueue", "schedule", "old", "nats stream edit AUDIT_TIMERS"]
    {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
    let error = start_error(patient().setting("LABAN_RETENTION_DAYS", 1)).await;
    assert!(error.contains("`needless`") && error.contains("LABAN_RETENTION_DAYS"), "{error}");
}

#[tokio::test]
async fn a_broker_without_jetstream() {
    let broker = Broker::builder().jetstream(false).start().await.unwrap();
    let bench = Bench::on(broker).await;
    let error = start_error(bench.service("payment").on(charge)).await;
    assert!(error.contains("JetStream does not answer") && error.contains("-js"), "{error}");
}

#[tokio::test]
async fn nobody_there() {
    let service = laban::Service::new("payment").on(charge).own_telemetry();
    let service =
        service.setting("NATS_URL", "nats://me:hush@127.0.0.1:1").setting("LABAN_CONNECT_TIMEOUT_MS", 100);
    let error = start_error(service).await;
    assert!(
        error.contains("127.0.0.1:1") && error.contains("NATS_URL") && !error.contains("hush"),
        "{error}"
    );
    assert!(error.contains("waited 0.") && error.contains("LABAN_CONNECT_TIMEOUT_MS"), "{error}");
}

#[tokio::test]
async fn a_setting_that_cannot_be_used() {
    let service = laban::Service::new("payment").on(charge).setting("LABAN_REPLICAS", "many");
    let error = start_error(service).await;
    assert_eq!(error, "LABAN_REPLICAS=many: it is a whole number from 1 to 5");
}
