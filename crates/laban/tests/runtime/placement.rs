//! Streams land on the nodes that the service's settings name.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use laban::{Handler as _, Service};
use laban_testkit::{Cluster, wait};

use crate::bench::{OrderPlaced, PATIENCE, PaymentCaptured};

const HOUR: Duration = Duration::from_secs(3_600);

async fn remind(_: OrderPlaced) {}

/// Three nodes: one with neither tag, one with both.
async fn cluster() -> Cluster {
    let cluster = Cluster::builder()
        .node_config(1, r#"server_tags: ["ssd", "az:eu-1"]"#)
        .node_config(2, r#"server_tags: ["ssd", "az:eu-2"]"#);
    cluster.start().await.unwrap()
}

/// A service with a home stream, a timer stream, and a contract.
fn service(cluster: &Cluster, tags: &str) -> Service {
    Service::new("payment")
        .on(remind.unless::<PaymentCaptured>(HOUR))
        .setting("NATS_URL", cluster.url())
        .setting("LABAN_PLACEMENT_TAGS", tags)
        .own_telemetry()
}

async fn info(context: &jetstream::Context, stream: &str) -> stream::Info {
    let found = wait::until_some(stream, PATIENCE, async || {
        context.get_stream(stream).await.ok().map(|stream| stream.cached_info().clone())
    });
    found.await.unwrap().0
}

/// The nodes that have it.
async fn nodes(context: &jetstream::Context, stream: &str) -> Vec<String> {
    let found = wait::until_some("a leader", PATIENCE, async || {
        let cluster = info(context, stream).await.cluster?;
        let others = cluster.replicas.into_iter().map(|peer| peer.name);
        Some(cluster.leader.into_iter().chain(others).collect::<Vec<_>>()).filter(|nodes| !nodes.is_empty())
    });
    let mut nodes = found.await.unwrap().0;
    nodes.sort();
    nodes
}

async fn start_error(service: Service) -> String {
    match service.start().await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_land_where_the_settings_say() {
    let cluster = cluster().await;
    let context = jetstream::new(async_nats::connect(cluster.urls()).await.unwrap());

    // Nobody has it: it might come, and is waited for.
    let vain = service(&cluster, "ssd,gold").setting("LABAN_CONNECT_TIMEOUT_MS", 1_500);
    let error = start_error(vain).await;
    for hint in [
        "PAYMENT",
        "no suitable peers",
        "waited ",
        "a node that is there",
        "ssd and gold",
        "LABAN_PLACEMENT_TAGS",
    ] {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }

    let running = service(&cluster, "ssd, az:eu-2").setting("LABAN_PLACEMENT_CLUSTER", "laban").start().await;
    for stream in ["PAYMENT", "PAYMENT_TIMERS", "KV_laban_contracts"] {
        assert_eq!(nodes(&context, stream).await, ["n3"], "{stream}");
        let placement = info(&context, stream).await.config.placement.unwrap();
        assert_eq!(placement.cluster.as_deref(), Some("laban"), "{stream}");
        assert_eq!(placement.tags, ["ssd", "az:eu-2"], "{stream}");
    }
    running.unwrap().stop();

    // Less is asked than the stream has: fine. More, or other: the stream is not moved behind anybody's back.
    service(&cluster, "ssd").start().await.unwrap().stop();
    let error = start_error(service(&cluster, "ssd,az:eu-1")).await;
    for hint in [
        "home stream PAYMENT is not as it needs it",
        "it is placed in cluster laban on nodes with ssd and az:eu-2, not on nodes with ssd and az:eu-1",
        "LABAN_PLACEMENT_TAGS",
        "nats stream edit PAYMENT",
    ] {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
    assert_eq!(nodes(&context, "PAYMENT").await, ["n3"]);
    assert!(!error.contains("waited"), "{error}");
}

/// As many nodes as replicas are needed, and no others are taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_stay_within_the_placement() {
    let cluster = cluster().await;
    let context = jetstream::new(async_nats::connect(cluster.urls()).await.unwrap());
    let few =
        service(&cluster, "ssd").setting("LABAN_REPLICAS", 3).setting("LABAN_CONNECT_TIMEOUT_MS", 1_500);
    let error = start_error(few).await;
    for hint in ["3 nodes", "LABAN_REPLICAS", "on nodes with ssd"] {
        assert!(error.contains(hint), "{hint:?} is not in: {error}");
    }
    let running = service(&cluster, "ssd").setting("LABAN_REPLICAS", 2).start().await;
    for stream in ["PAYMENT", "PAYMENT_TIMERS", "KV_laban_contracts"] {
        assert_eq!(nodes(&context, stream).await, ["n2", "n3"], "{stream}");
    }
    running.unwrap().stop();
}
