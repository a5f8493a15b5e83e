//! `laban flow` on the real shop, with no tracing backend: every flow in its state, and what is stuck by name.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use demo::orders::Plan;
use demo::{Service, program};
use laban_flow::Flow;
use laban_testkit::wait;
use laban_tests::{Outcome, Shop};
use serde_json::Value;

/// Longer than anything in the shop takes.
const SOON: Duration = Duration::from_secs(60);

/// What `laban` prints.
fn laban(shop: &Shop, args: &[&str]) -> Outcome<String> {
    let output = Command::new(program("laban", "-p laban-cli")?)
        .args(["--server", &shop.mesh.broker().url()])
        .args(args)
        .output()?;
    if !output.status.success() {
        return Err(format!("laban {args:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn list(shop: &Shop, args: &[&str]) -> Outcome<Vec<Value>> {
    let args: Vec<&str> = ["flow", "list", "--json"].iter().chain(args).copied().collect();
    laban(shop, &args)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[tokio::test]
async fn every_flow_is_listed_in_its_state_and_shown_as_it_was() -> Outcome {
    let shop = Shop::impatient().await?;
    let plan = Plan::with_silent_banks(60, 42);
    let over = shop.serves(&plan).await?;
    over.assert_as_planned(&plan);
    let undone = ["inventory.released", "payment.refunded"];
    let flows = over.audit.completed.iter().chain(&over.audit.cancelled);
    let truth: BTreeMap<String, &str> = flows
        .map(|id| {
            let events = over.history.messages(id).iter();
            let is_undone = events
                .filter_map(|stored| stored.subject.rsplit_once('.'))
                .any(|(event, _)| undone.contains(&event));
            (id.key(), if is_undone { "compensated" } else { "completed" })
        })
        .collect();
    assert_eq!(
        truth.values().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from(["compensated", "completed"])
    );
    let listed = list(&shop, &[])?;
    let listed: BTreeMap<String, &str> = listed
        .iter()
        .map(|flow| (flow["flow"].as_str().unwrap_or("").to_owned(), flow["state"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(listed, truth, "left: as listed; right: by the audit of the demo");
    for open in ["running", "stuck", "dead"] {
        assert_eq!(list(&shop, &["--state", open])?, [Value::Null; 0], "{open}");
    }
    let compensated = list(&shop, &["--state", "compensated"])?.len();
    assert_eq!(compensated, truth.values().filter(|state| **state == "compensated").count());
    // A key with a NUL cannot be an argument.
    for id in over.history.ids().filter(|id| !id.key().contains('\0')) {
        let shown: Flow = serde_json::from_str(&laban(&shop, &["flow", "show", "--json", "--", &id.key()])?)?;
        assert_eq!(Some(shown), over.history.flow(id), "left: as shown; right: as read here");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_is_away_is_named_until_it_is_back() -> Outcome {
    let mut shop = Shop::open().await?;
    shop.mesh.stop_service(Service::Shipping).await?;
    let plan = Plan::plain(1, 43);
    let placed = shop.place(&plan).await;
    let id = placed[0].flow.clone().ok_or("the order has no flow")?;
    let stuck = ["--state", "stuck", "--overdue", "2s"];
    let (found, _) = wait::until_some("the flow to be stuck", SOON, async || {
        list(&shop, &stuck).ok().filter(|flows| !flows.is_empty())
    })
    .await?;
    assert_eq!((found.len(), found[0]["flow"].as_str()), (1, Some(id.key().as_str())));
    let overdue: BTreeSet<_> = (found[0]["awaited"].as_array().ok_or("no list")?.iter())
        .filter(|awaited| !awaited["overdue"].is_null())
        .map(|awaited| {
            (awaited["service"].as_str().unwrap_or(""), awaited["overdue"]["why"].as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(overdue, BTreeSet::from([("shipping", "nobody_asks")]));
    let shown = laban(&shop, &["flow", "show", "--overdue", "2s", &id.key()])?;
    assert!(shown.contains("\noverdue: shipping dispatch, on "), "{shown}");

    shop.mesh.start_service(Service::Shipping)?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    assert_eq!(list(&shop, &stuck)?, [Value::Null; 0]);
    assert_eq!(list(&shop, &[])?[0]["state"], "completed");
    Ok(())
}
