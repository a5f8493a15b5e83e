//! `laban doctor` on the shop.

use std::process::{Command, Output};

use demo::orders::Plan;
use demo::{Service, Settings, program};
use laban_testkit::Broker;
use laban_tests::{Outcome, Shop};
use serde_json::Value;

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
