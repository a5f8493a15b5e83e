//! `laban doctor` on the shop.

use std::process::{Command, Output};
use std::time::Duration;

use demo::orders::Plan;
use demo::{Service, Settings, program};
use laban_testkit::{Broker, wait};
use laban_tests::{Outcome, Shop};
use serde_json::Value;

/// Spans leave five times a second; a machine that compiles something else meanwhile may take its time.
const SOON: Duration = Duration::from_secs(60);

fn doctor(shop: &Shop, args: &[&str]) -> Outcome<Output> {
    let broker = shop.mesh.broker();
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    command.args([
        "doctor",
        "--server",
        &broker.url(),
        "--brokers",
        &broker.monitor_url(),
        "--watch-for",
        "1s",
    ]);
    Ok(command.args(args).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_shop_at_work_has_nothing_wrong_until_a_service_is_away() -> Outcome {
    let broker = Broker::builder().sync_always().start().await?;
    let mut shop = Shop::with(Settings { broker: Some(broker), ..Settings::default() }).await?;
    let plan = Plan::new(40, 55);
    let placed = shop.place(&plan).await;
    // In the middle of it, and when all is over.
    let output = doctor(&shop, &[])?;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    let output = doctor(&shop, &["--json"])?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((output.status.code(), &report["well"]), (Some(0), &true.into()), "{report:#}");
    assert_eq!(
        (&report["findings"], &report["unseen"]),
        (&Value::Array(vec![]), &Value::Array(vec![])),
        "{report:#}"
    );
    let all = &report["looked_at"];
    for (what, count) in [("servers", 1), ("services", 5), ("instances", 5), ("contracts", 5), ("flows", 0)] {
        assert_eq!(all[what], count, "{what}: {all}");
    }

    shop.mesh.kill_service(Service::Shipping);
    let output = doctor(&shop, &[])?;
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("warning: absent-service shipping\n") && out.contains("\n1 finding: "), "{out}");
    Ok(())
}

#[tokio::test]
async fn spans_that_a_collector_does_not_take_are_found() -> Outcome {
    // Port 1 of this machine: refused at once.
    let nowhere = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned());
    let shop = Shop::with(Settings { env: vec![nowhere], ..Settings::default() }).await?;
    let plan = Plan::plain(3, 56);
    let placed = shop.place(&plan).await;
    shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    let mut out = String::new();
    let found = wait::until("every service to have lost spans", SOON, async || {
        out = doctor(&shop, &[]).map(|output| text(&output.stdout)).unwrap_or_default();
        Service::ALL.iter().all(|one| out.contains(&format!("warning: dropped-spans {}\n", one.name())))
    });
    found.await.map_err(|error| format!("{error}; the last:\n{out}"))?;
    assert!(out.contains(" export_failed, 0 delivered\n"), "{out}");
    assert!(out.contains("at 127.0.0.1, process "), "who it is: {out}");
    Ok(())
}
