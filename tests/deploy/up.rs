//! It comes up, takes orders, and all that looks at it sees them.

use demo::Door;
use demo::audit::audit_spans;
use demo::orders::Plan;
use laban_testkit::wait;
use laban_tests::{Outcome, Over, note};
use serde_json::Value;

use crate::rig::{PATIENCE, Rig, place_at, silent};

/// As many as `make demo` places.
const ORDERS: usize = 200;
/// Processes: three brokers, two of each of five services, `laban metrics`, Jaeger, Prometheus.
const PROCESSES: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn what_compose_says_comes_up_and_takes_orders_at_both_doors() -> Outcome {
    // Some banks never answer, which is waited for; all others do by then, on a busy machine too.
    let Some(mut rig) = Rig::start(&[("SHOP_PAYMENT_DEADLINE_MS", "20000")]).await? else { return Ok(()) };
    probes_say_that_all_is_well(&rig).await?;
    let plan = Plan::with_silent_banks(ORDERS, 1);
    let doors = both_doors(&rig)?;
    let (first, second) = plan.orders.split_at(plan.orders.len() / 2);
    let (mut placed, more) = tokio::join!(place_at(&doors[0], first), place_at(&doors[1], second));
    placed.extend(more);
    // Those that look have the time until then.
    let (over, scraped) = tokio::join!(rig.over(&plan, &placed), all_is_scraped(&rig));
    scraped?;
    let over = over?;
    over.assert_as_planned(&plan);
    streams_have_three_replicas(&rig).await?;

    traces_are_the_flows(&rig, &over).await?;

    let flow = over.audit.completed.first().and_then(|id| over.history.flow(id)).ok_or("a flow")?;
    let trace = flow.traces().first().map(|id| (*id).to_owned()).ok_or("a trace")?;
    traces_are_kept(&mut rig, &trace).await?;
    rig.stop().await
}

/// All at once. A broker whose services have just made their consumers may take a moment.
async fn probes_say_that_all_is_well(rig: &Rig) -> Outcome {
    let mut unwell = Vec::new();
    let well = wait::until("every probe to say that all is well", PATIENCE, async || {
        let asked = rig.ask().await;
        assert_eq!(asked.len(), PROCESSES, "{asked:?}");
        unwell = asked
            .iter()
            .filter_map(|(name, well)| Some(format!("{name}: {}", well.as_ref().err()?)))
            .collect();
        unwell.is_empty()
    });
    let well = well.await;
    well.map_err(|error| format!("{error}: {}", unwell.join("; ")))?;
    assert_eq!(rig.left_out(), ["grafana"]);
    Ok(())
}

/// Edge for edge, and each whole.
async fn traces_are_the_flows(rig: &Rig, over: &Over) -> Outcome {
    let spans = audit_spans(rig.traces(), &over.history, &over.audit, &silent()).await?;
    // A commit whose answer came too late took effect all the same: its span has it for another's, and so no edge.
    let late = rig.said("commit unknown")?;
    if late.is_empty() {
        let found = spans.findings.join("\n  ");
        assert!(spans.findings.is_empty(), "expected no difference, found:\n  {found}");
        assert_eq!((spans.orphan_spans, spans.services_per_trace), (0, Some(5)));
    } else {
        note(&format!("brokers took more than 5 s to answer {}: traces are not compared", late.join(", ")));
    }
    Ok(())
}

/// One for each instance of the order service.
fn both_doors(rig: &Rig) -> Outcome<Vec<Door>> {
    let doors = rig.instances_of("order").iter().map(|one| Ok(Door::of(vec![rig.address(one, 8080)?])));
    let doors: Vec<Door> = doors.collect::<Outcome<_>>()?;
    assert_eq!(doors.len(), 2);
    Ok(doors)
}

async fn streams_have_three_replicas(rig: &Rig) -> Outcome {
    let streams = rig.streams().await?;
    let names: Vec<&str> = streams.iter().map(|stream| stream.config.name.as_str()).collect();
    for home in ["ORDER", "PAYMENT", "INVENTORY", "SHIPPING", "NOTIFICATION", "KV_laban_contracts"] {
        assert!(names.contains(&home), "expected {home} among {names:?}");
    }
    for stream in streams {
        assert_eq!(stream.config.num_replicas, 3, "{}", stream.config.name);
    }
    for broker in rig.brokers() {
        let url = format!("http://{}/jsz", rig.address(broker, 8222)?);
        let said: Value = reqwest::get(url).await?.json().await?;
        assert_eq!(said["config"]["sync_always"], true, "{broker}: {said}");
    }
    Ok(())
}

async fn all_is_scraped(rig: &Rig) -> Outcome {
    let api = format!("http://{}/api/v1", rig.address("prometheus", 9090)?);
    let mut last = Value::Null;
    let scraped = wait::until("all targets to be up", PATIENCE, async || {
        let Ok(answer) = reqwest::get(format!("{api}/targets?state=active")).await else { return false };
        last = answer.json().await.unwrap_or_default();
        let targets = last["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        // Ten services and `laban metrics`.
        targets.len() == 11 && targets.iter().all(|target| target["health"] == "up")
    });
    let scraped = scraped.await;
    scraped.map_err(|error| format!("{error}: {last}"))?;
    let rules: Value = reqwest::get(format!("{api}/rules")).await?.json().await?;
    let groups = rules["data"]["groups"].as_array().ok_or("groups of rules")?;
    assert!(!groups.is_empty(), "expected the alerts to be loaded");
    let features: Value = reqwest::get(format!("{api}/status/flags")).await?.json().await?;
    assert_eq!(features["data"]["enable-feature"], "exemplar-storage");
    Ok(())
}

/// Badger has them on its volume.
async fn traces_are_kept(rig: &mut Rig, trace: &str) -> Outcome {
    let before = rig.traces().trace(trace).await?.spans.len();
    assert!(before > 0);
    let status = rig.stop_one("jaeger").await?.ok_or("it ran")?;
    assert!(status.success(), "{status}");
    assert!(rig.traces().trace(trace).await.is_err(), "expected nobody to answer");
    rig.start_again("jaeger").await?;
    let after = rig.traces().trace(trace).await?.spans.len();
    assert_eq!(after, before, "expected the spans of a flow to outlive a restart");
    Ok(())
}
