//! A shop at work, seen by Prometheus: every query has an answer, every metric a place, every alert its moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use demo::orders::Plan;
use demo::traces::Traces;
use laban_testkit::{Broker, tools, wait};
use laban_tests::{Outcome, Shop, note};

use crate::api::{Api, PATIENCE};
use crate::files::{Dashboard, Query, alerts, project, read};
use crate::rig::{Rig, has_prometheus, until};
use crate::{alerts, promql, quiet};

/// More than the shop needs, and soon full.
const STORAGE_BYTES: usize = 64 << 20;

/// What Prometheus makes itself.
const ITS_OWN: [&str; 2] = ["up", "ALERTS"];

#[tokio::test(flavor = "multi_thread")]
async fn every_query_answers_every_metric_is_shown_and_every_alert_fires() -> Outcome {
    if !has_prometheus().await? {
        return Ok(());
    }
    let limit = format!("jetstream {{ max_file_store: {STORAGE_BYTES} }}");
    let mut rig = Rig::start(Broker::builder().config(limit).start().await?).await?;
    let plan = Plan::new(40, 71);
    rig.shop.serves(&plan).await?.assert_as_planned(&plan);

    let dashboards = Dashboard::all()?;
    let queries: Vec<Query> = dashboards.iter().flat_map(Dashboard::queries).collect();
    tokio::select! {
        shown = everything_is_shown(&rig, &dashboards, &queries) => shown?,
        // Rates need something that goes on.
        () = traffic(&rig.shop) => return Err("orders ran out".into()),
    }

    until("all alerts to be silent", async || rig.api.firing().await.is_ok_and(|firing| firing.is_empty()))
        .await?;
    let mut provoked = alerts::provoke(&mut rig, &queries).await?;
    // In a test of its own: it takes a cluster.
    provoked.insert("LabanReplicasMissing");
    let all: BTreeSet<String> = alerts()?.into_iter().collect();
    let provoked: BTreeSet<String> = provoked.into_iter().map(str::to_owned).collect();
    assert_eq!(all, provoked, "left: alerts there are; right: alerts that were made to fire");
    Ok(())
}

async fn everything_is_shown(rig: &Rig, dashboards: &[Dashboard], queries: &[Query]) -> Outcome {
    for query in queries.iter().filter(|query| quiet::reason(&query.expression).is_none()) {
        answers(&rig.api, query, ("payment", "charge")).await?;
    }
    variables_have_values(&rig.api, dashboards).await?;
    rules_can_be_evaluated(&rig.api).await?;
    metrics_are_shown_and_shown_ones_exist(rig, queries).await?;
    exemplars_lead_to_traces(rig, dashboards).await
}

/// Orders, one after the other.
async fn traffic(shop: &Shop) {
    for seed in 1_000..10_000 {
        shop.place(&Plan::plain(1, seed)).await;
        // As fast as the shop takes them would be load, not traffic.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a query has something to show. One that Prometheus cannot read fails at once.
pub(crate) async fn answers(api: &Api, query: &Query, of: (&str, &str)) -> Outcome {
    let Query { place, expression } = query;
    let expression = filled_in(expression, of);
    let mut refused = None;
    let answered = wait::until("an answer", PATIENCE, async || match api.count(&expression).await {
        Ok(found) => found > 0,
        Err(error) => {
            refused = Some(error);
            true
        }
    });
    let answered = answered.await;
    match (refused, answered) {
        (Some(error), _) => Err(format!("{place}: {expression}: {error:?}").into()),
        (None, Err(_)) => Err(format!("{place}: nothing to show for {expression}").into()),
        (None, Ok(_)) => Ok(()),
    }
}

/// An expression with its variables filled in, as Grafana does it.
fn filled_in(expression: &str, (service, handler): (&str, &str)) -> String {
    expression
        .replace("$__rate_interval", "30s")
        .replace("${service}", service)
        .replace("$service", service)
        .replace("${handler}", handler)
        .replace("$handler", handler)
}

async fn variables_have_values(api: &Api, dashboards: &[Dashboard]) -> Outcome {
    for dashboard in dashboards {
        for (series, label) in dashboard.variables() {
            let values = api.label_values(&series.replace("$service", "payment"), &label).await?;
            assert!(!values.is_empty(), "{}: no values of {label} in {series}", dashboard.name);
        }
    }
    Ok(())
}

async fn rules_can_be_evaluated(api: &Api) -> Outcome {
    let promtool = tools::prometheus()?.with_file_name("promtool");
    let path = project("dashboards/alerts.yml");
    let checked = tokio::process::Command::new(&promtool).args(["check", "rules"]).arg(path).output().await?;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // The deployed one names its rules as a file beside it.
    let beside = tempfile::tempdir()?;
    std::fs::copy(project("dashboards/alerts.yml"), beside.path().join("alerts.yml"))?;
    let config = beside.path().join("prometheus.yml");
    std::fs::copy(project("deploy/prometheus/prometheus.yml"), &config)?;
    let checked =
        tokio::process::Command::new(promtool).args(["check", "config"]).arg(config).output().await?;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    until("all rules to have been evaluated", async || {
        api.rules().await.is_ok_and(|rules| rules.iter().all(|rule| rule.health != "unknown"))
    })
    .await?;
    let rules = api.rules().await?;
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, alerts()?);
    for rule in &rules {
        assert_eq!(rule.health, "ok", "{}: {}", rule.name, rule.error);
    }
    Ok(())
}

/// Each metric that the code has is in a dashboard or an alert, and in `docs/metrics.md`; and the other way round.
async fn metrics_are_shown_and_shown_ones_exist(rig: &Rig, queries: &[Query]) -> Outcome {
    let mut kinds = BTreeMap::new();
    for page in rig.pages().await? {
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        kinds.extend(types.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    }
    let mut named = BTreeSet::new();
    let rules = rig.api.rules().await?;
    let expressions = queries.iter().map(|query| (&query.place, &query.expression));
    for (place, expression) in expressions.chain(rules.iter().map(|rule| (&rule.name, &rule.expression))) {
        for series in promql::series(expression) {
            let of = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
            let of = of.filter(|name| kinds.get(*name).is_some_and(|kind| kind == "histogram"));
            let name = of.unwrap_or(&series).to_owned();
            let exists = kinds.contains_key(&name) || ITS_OWN.contains(&name.as_str());
            // Only while there is one.
            let overdue = name == "laban_reactions_overdue";
            assert!(exists || overdue, "{place} names {name}, which nobody tells");
            named.insert(name);
        }
    }
    let docs = read("docs/metrics.md")?;
    for name in kinds.keys() {
        assert!(named.contains(name), "{name} is in no dashboard and in no alert");
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/metrics.md");
    }
    Ok(())
}

/// The histograms that have exemplars, and where they are shown, in this order.
const WITH_EXEMPLARS: [(&str, &[&str]); 2] = [
    ("laban_queue_duration_seconds_bucket", &["handler.json, Wait", "mesh.json, Wait", "service.json, Wait"]),
    ("messaging_process_duration_seconds_bucket", &["handler.json, Run", "service.json, Run"]),
];

async fn exemplars_lead_to_traces(rig: &Rig, dashboards: &[Dashboard]) -> Outcome {
    let queries: Vec<Query> = dashboards.iter().flat_map(Dashboard::with_exemplars).collect();
    for (histogram, places) in WITH_EXEMPLARS {
        let mut shown = queries.iter().filter(|query| query.expression.contains(histogram));
        let of_all = places.iter().all(|place| shown.any(|query| query.place.starts_with(place)));
        assert!(of_all, "expected panels with exemplars of {histogram} in {places:?}");
    }
    for Query { place, expression } in queries {
        let expression = filled_in(&expression, ("payment", "charge"));
        let found = wait::until_some(format!("exemplars for {place}"), PATIENCE, async || {
            rig.api.exemplars(&expression).await.ok().filter(|found| !found.is_empty())
        });
        let (found, _) = found.await?;
        // Spans leave in batches.
        until(&format!("{place}: the trace {} of an exemplar", found[0]), async || {
            let trace = rig.traces.trace(&found[0]).await;
            trace.is_ok_and(|trace| trace.spans.iter().any(|span| span.name.starts_with("process ")))
        })
        .await?;
    }
    if let Traces::Receiver { why, .. } = &rig.traces {
        note(&format!("traces were looked for in the own receiver, not in Jaeger: {why}"));
    }
    Ok(())
}
