//! The traces, read back from Jaeger's own API, are the flows in the streams.

use std::collections::BTreeSet;

use demo::audit::{Edge, audit_spans, compare, edges_of_flow, edges_of_trace};
use demo::orders::Plan;
use demo::traces::Traces;
use demo::{CHOREOGRAPHY, Progress, Service};
use laban_tests::{Outcome, Shop, note};

#[tokio::test]
async fn a_trace_is_a_flow_edge_for_edge() -> Outcome {
    let shop = Shop::with_jaeger().await?;
    let plan = Plan::with_silent_banks(100, 20);
    let over = shop.serves(&plan).await?;
    over.assert_as_planned(&plan);
    let traces = shop.mesh.traces();
    let spans = audit_spans(traces, &over.history, &over.audit, &Progress::Silent.stage("", 0)).await?;
    assert!(spans.findings.is_empty(), "expected no difference, found:\n  {}", spans.findings.join("\n  "));
    assert_eq!(over.audit.overdue, 2, "expected two flows in which a deadline passed");
    assert_eq!(
        spans.traces_checked,
        plan.flows() + over.audit.overdue,
        "expected one trace for each flow, and one that is linked to it for each deadline that passed"
    );
    assert_eq!(spans.orphan_spans, 0, "expected no span without its parent");
    assert_eq!(
        spans.services_per_trace,
        Some(5),
        "expected all five services in the trace of a completed flow"
    );

    let Traces::Jaeger { api, .. } = traces else {
        // The same was checked on what the own receiver got.
        note("no Jaeger at hand: its own view of services was not looked at");
        return Ok(());
    };
    let services: BTreeSet<String> = Service::ALL.map(|service| service.name().to_owned()).into();
    assert_eq!(api.services().await?, services, "expected /api/services to name the five services");
    let choreography: BTreeSet<(String, String)> = CHOREOGRAPHY
        .into_iter()
        .filter_map(|(service, _, event)| Some((event.split_once('.')?.0.to_owned(), service.to_owned())))
        .filter(|(from, to)| from != to)
        .collect();
    assert_eq!(
        api.dependencies().await?,
        choreography,
        "left: /api/dependencies; right: who reacts to whom in the shop"
    );
    Ok(())
}

/// The comparison itself must see what is missing, what is too much, and what hangs in the wrong place.
#[tokio::test]
async fn a_trace_that_differs_is_seen_to() -> Outcome {
    let shop = Shop::with_jaeger().await?;
    let plan = Plan::plain(1, 21);
    let over = shop.serves(&plan).await?;
    let id = over.audit.completed.first().ok_or("expected the one order to complete")?;
    let flow = over.history.flow(id).ok_or("expected the flow to be there")?;
    let traces = shop.mesh.traces();
    audit_spans(traces, &over.history, &over.audit, &Progress::Silent.stage("", 0)).await?;
    let whole = traces.trace(flow.traces()[0]).await?;
    assert_eq!(compare(&flow, &whole), Vec::<String>::new(), "expected the trace to be whole");
    assert_eq!(edges_of_flow(&flow), edges_of_trace(&whole));

    let mut holed = whole.clone();
    let sent = holed.spans.iter().position(|span| span.name.starts_with("send payment.captured"));
    let sent = holed.spans.remove(sent.ok_or("expected a span that sent payment.captured")?);
    let findings = compare(&flow, &holed).join("\n");
    for expected in ["not in its trace: Edge", "is not in its trace", "payment.captured"] {
        assert!(findings.contains(expected), "expected {expected:?} among the findings:\n{findings}");
    }
    assert!(holed.orphans().count() > 0, "expected orphans below the span that was taken away");

    let mut bent = whole.clone();
    let root = bent.spans.iter().find(|span| span.parent.is_none()).map(|span| span.id.clone());
    for span in bent.spans.iter_mut().filter(|span| span.parent.as_ref() == Some(&sent.id)) {
        span.parent.clone_from(&root);
    }
    let misled = |edge: &Edge| edge.cause == "?";
    assert!(edges_of_trace(&bent).iter().any(misled), "expected edges without a cause");
    assert!(!compare(&flow, &bent).is_empty(), "expected a finding for each of them");
    Ok(())
}
