//! What does not fit together refuses to start, and says with whom it does not.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use demo::traces::Wanted;
use demo::{Mesh, Service, Settings};
use laban::{Event, Service as LabanService};
use laban_tests::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Starts one service beside streams that are there already, and returns its last words.
async fn refused(service: Service, streams: Vec<stream::Config>) -> Outcome<String> {
    let settings = Settings { traces: Wanted::Receiver, ..Settings::default() };
    let mut mesh = Mesh::without_services(settings).await?;
    let context = jetstream::new(mesh.client().await?);
    for stream in streams {
        context.create_stream(stream).await?;
    }
    mesh.start_service(service)?;
    let process = mesh.process(service).ok_or("expected the service to be started")?;
    let status = process.wait_timeout(Duration::from_secs(20)).await?;
    assert_eq!(status.code(), Some(1), "expected {service:?} to refuse: {}", process.log_tail(20));
    Ok(process.log_tail(5))
}

#[track_caller]
fn assert_says(said: &str, all: &[&str]) {
    for expected in all {
        assert!(said.contains(expected), "expected {expected:?} in: {said}");
    }
}

fn home_of(service: &str, stream: &str, subjects: &str) -> stream::Config {
    stream::Config {
        name: stream.to_owned(),
        subjects: vec![subjects.to_owned()],
        discard: stream::DiscardPolicy::New,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: [("laban.service".to_owned(), service.to_owned())].into(),
        ..stream::Config::default()
    }
}

#[tokio::test]
async fn a_name_that_another_service_holds_on_another_stream() -> Outcome {
    let other = home_of("payment-eu", "EU-PAYMENTS", "payment.*.*");
    let said = refused(Service::Payment, vec![other]).await?;
    assert_says(
        &said,
        &["service payment:", "EU-PAYMENTS", "service payment-eu", "stream PAYMENT", "rename one"],
    );
    Ok(())
}

#[tokio::test]
async fn a_home_that_is_another_services() -> Outcome {
    let other = home_of("billing", "PAYMENT", "payment.*.*");
    let said = refused(Service::Payment, vec![other]).await?;
    assert_says(&said, &["service payment:", "stream PAYMENT", "the home of service billing"]);
    Ok(())
}

#[tokio::test]
async fn a_home_that_could_forget() -> Outcome {
    let lax = stream::Config {
        discard: stream::DiscardPolicy::Old,
        max_messages: 1_000,
        max_messages_per_subject: 1,
        max_age: Duration::from_secs(3600),
        allow_direct: false,
        allow_atomic_publish: false,
        ..home_of("inventory", "INVENTORY", "inventory.*.*")
    };
    let said = refused(Service::Inventory, vec![lax]).await?;
    let all = [
        "service inventory:",
        "stream INVENTORY",
        "discards old",
        "per subject",
        "atomic",
        "direct get",
        "keeps records",
    ];
    assert_says(&said, &all);
    assert_says(&said, &["nats stream edit INVENTORY"]);
    Ok(())
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "order.placed", version = 1, flow = id)]
struct OrderPlaced {
    id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "payment.captured", version = 1, flow = id)]
struct PaymentCaptured {
    id: String,
}

async fn charge(order: OrderPlaced) -> PaymentCaptured {
    PaymentCaptured { id: order.id }
}

/// Two services emit `payment.captured`: the one that is not called payment does not start.
#[tokio::test]
async fn an_event_of_another_service() -> Outcome {
    LabanService::new("payment").on(charge).contract()?;
    let Err(error) = LabanService::new("billing").on(charge).start().await else {
        return Err("expected billing to refuse: payment.captured is payment's".into());
    };
    assert_says(&error.to_string(), &["service billing", "`charge`", "payment.captured", "service payment"]);
    let Err(error) = LabanService::new("billing").emits::<PaymentCaptured>().start().await else {
        return Err("expected billing to refuse: payment.captured is payment's".into());
    };
    assert_says(&error.to_string(), &["service billing", ".emits()", "payment.captured", "service payment"]);
    Ok(())
}
