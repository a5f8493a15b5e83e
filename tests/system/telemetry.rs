//! What a service tells of itself: spans over either protocol, metrics, health.

use std::time::Duration;

use demo::orders::Plan;
use demo::traces::Wanted;
use demo::{Service, Settings};
use laban_testkit::{Jaeger, wait};
use laban_tests::{Outcome, Shop, note};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

async fn get(address: &str, path: &str) -> Outcome<(u16, String)> {
    let answer = reqwest::get(format!("http://{address}{path}")).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// The sum of a metric over all its labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn spans_leave_over_http_too() -> Outcome {
    let jaeger = match Jaeger::start().await {
        Ok(jaeger) => jaeger,
        Err(error) if std::env::var("LABAN_REQUIRE_JAEGER").is_ok_and(|value| value == "1") => {
            return Err(error.into());
        }
        Err(error) => {
            note(&format!("skipped, no Jaeger: {error}"));
            return Ok(());
        }
    };
    let env = vec![
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.otlp_http_url().clone()),
    ];
    let shop = Shop::with(Settings { env, ..Settings::default() }).await?;
    let plan = Plan::plain(3, 50);
    let over = shop.serves(&plan).await?;
    for id in &over.audit.completed {
        let flow = over.history.flow(id).ok_or("the flow")?;
        let trace = flow.traces().first().map(ToString::to_string).ok_or("a trace")?;
        let url = format!("{}/api/traces/{trace}", jaeger.ui_url());
        let found = wait::until_some("the spans of five services", PATIENCE, async || {
            let body: Value = reqwest::get(&url).await.ok()?.json().await.ok()?;
            let processes = body["data"][0]["processes"].as_object()?;
            let mut services: Vec<String> =
                processes.values().filter_map(|one| Some(one["serviceName"].as_str()?.to_owned())).collect();
            services.sort();
            services.dedup();
            (services.len() == 5).then_some(services)
        });
        assert_eq!(found.await?.0, ["inventory", "notification", "order", "payment", "shipping"]);
    }
    Ok(())
}

#[tokio::test]
async fn spans_that_nobody_takes_are_counted_shown_and_hold_up_nothing() -> Outcome {
    let env = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned())];
    let settings = Settings { env, traces: Wanted::Receiver, ..Settings::default() };
    let mut shop = Shop::with(settings).await?;
    let plan = Plan::plain(5, 51);
    let placed = shop.place(&plan).await;
    shop.over(&plan, &placed).await?;

    let payment = shop.metrics_address(Service::Payment)?;
    let found = wait::until_some("lost spans to be counted", PATIENCE, async || {
        let (_, metrics) = get(&payment, "/metrics").await.ok()?;
        (sum(&metrics, "laban_spans_dropped_total") > 0.0).then_some(metrics)
    });
    let metrics = found.await?.0;
    assert_eq!(sum(&metrics, "laban_spans_exported_total"), 0.0, "expected no span to be delivered");
    assert_eq!(sum(&metrics, "laban_commits_total"), 5.0, "expected a commit for each order:\n{metrics}");
    assert_eq!(sum(&metrics, "messaging_client_consumed_messages_total"), 5.0);
    assert_eq!(sum(&metrics, "messaging_process_duration_seconds_count"), 5.0);
    assert_eq!(sum(&metrics, "laban_queue_duration_seconds_count"), 5.0);
    for name in [
        "laban_duplicates_total",
        "laban_retries_total",
        "laban_dead_letters_total",
        "laban_fences_lost_total",
        "laban_appends_failed_total",
    ] {
        assert!(metrics.contains(name), "expected {name} to begin at 0:\n{metrics}");
        assert_eq!(sum(&metrics, name), 0.0);
    }
    let lag = wait::until("the lag to be asked for", PATIENCE, async || {
        get(&payment, "/metrics").await.is_ok_and(|(_, metrics)| metrics.contains("laban_consumer_lag"))
    });
    lag.await?;

    // The log is gone from the mesh with the process.
    let log = shop.mesh.logs().join("payment.log");
    shop.mesh.stop_service(Service::Payment).await?;
    let log = std::fs::read_to_string(log)?;
    for expected in ["spans are not delivered", "OTEL_TRACES_EXPORTER=none", "spans were lost"] {
        assert!(log.contains(expected), "expected {expected:?} in the log:\n{log}");
    }
    Ok(())
}

#[tokio::test]
async fn health_tells_whether_a_service_can_be_given_work() -> Outcome {
    let mut shop = Shop::open().await?;
    let payment = shop.metrics_address(Service::Payment)?;
    assert_eq!(get(&payment, "/livez").await?, (200, "ok\n".to_owned()));
    assert_eq!(get(&payment, "/readyz").await?, (200, "ok\n".to_owned()));
    assert_eq!(get(&payment, "/nowhere").await?.0, 404);
    assert_eq!(reqwest::Client::new().post(format!("http://{payment}/livez")).send().await?.status(), 405);

    shop.mesh.broker_mut().kill();
    wait::until("/readyz to be 503 without a broker", PATIENCE, async || {
        get(&payment, "/readyz").await.is_ok_and(|(status, _)| status == 503)
    })
    .await?;
    assert_eq!(get(&payment, "/livez").await?.0, 200, "a service without a broker is not to be restarted");
    shop.mesh.broker_mut().start_again().await?;
    wait::until("/readyz to be 200 again", PATIENCE, async || {
        get(&payment, "/readyz").await.is_ok_and(|(status, _)| status == 200)
    })
    .await?;
    Ok(())
}
