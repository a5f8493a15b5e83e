use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use laban_flow::{Flow, Step};
use laban_wire::FlowId;
use tokio::time::{Instant, sleep};

use super::{Audit, edges_of_flow, edges_of_trace};
use crate::traces::{SpanKind, Trace, Traces};
use crate::{Error, History, Stage};

/// How long spans may take to arrive after the last flow has ended.
const ARRIVAL: Duration = Duration::from_secs(15);
/// How often a trace that is not whole is read again.
const LOOK: Duration = Duration::from_millis(50);
/// How many traces are read at a time.
const AT_ONCE: usize = 8;

/// What the spans tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanAudit {
    /// How many traces were read.
    pub traces_checked: usize,
    /// Spans in them.
    pub spans: usize,
    /// Spans whose parent is not in their trace.
    pub orphan_spans: usize,
    /// The least number of services in the trace of a completed flow; nothing when none completed.
    pub services_per_trace: Option<usize>,
    /// What is not as it should be, in sentences.
    pub findings: Vec<String>,
}

/// Reads the traces of each flow that ended, and compares it with the flow. Spans leave their services a little later than
/// events: each trace is read until it is whole, for a while.
///
/// # Errors
/// When Jaeger's API does not answer as it should.
pub async fn audit(
    traces: &Traces,
    history: &History,
    flows: &Audit,
    stage: &Stage,
) -> Result<SpanAudit, Error> {
    let ended: Vec<&FlowId> = flows.completed.iter().chain(&flows.cancelled).collect();
    let rebuilt: Vec<Flow> = ended.iter().filter_map(|id| history.flow(id)).collect();
    let mut all = SpanAudit::default();
    let deadline = Instant::now() + ARRIVAL;
    let reading = stream::iter(&rebuilt).map(async |flow| read(traces, flow, deadline).await);
    let mut reading = std::pin::pin!(reading.buffered(AT_ONCE));
    let mut index = 0;
    while let Some(read) = reading.next().await {
        let (trace, findings) = read?;
        all.traces_checked += rebuilt.get(index).map_or(0, |flow| flow.traces().len());
        all.spans += trace.spans.len();
        all.orphan_spans += trace.orphans().count();
        all.findings.extend(findings);
        if ended.get(index).is_some_and(|id| flows.completed.contains(*id)) {
            let services = trace.services().len();
            all.services_per_trace =
                Some(all.services_per_trace.map_or(services, |least| least.min(services)));
        }
        index += 1;
        stage.at(index as u64);
    }
    let (seen, expected) = (traces.dependencies().await?, choreography(&rebuilt));
    if seen != expected {
        let findings = &mut all.findings;
        findings
            .extend(expected.difference(&seen).map(|(a, b)| format!("dependencies: {a} → {b} is missing")));
        findings
            .extend(seen.difference(&expected).map(|(a, b)| format!("dependencies: {a} → {b} is not so")));
    }
    Ok(all)
}

/// Which service reacts to which, as the causes in the streams tell it.
fn choreography(flows: &[Flow]) -> BTreeSet<(String, String)> {
    let steps = flows.iter().flat_map(|flow| &flow.steps);
    let pairs = steps.filter_map(|step| Some((step.on.as_ref()?.service().to_owned(), step.service.clone())));
    pairs.filter(|(from, to)| from != to).collect()
}

/// A flow's trace, with those that its deadlines began, as soon as it is whole, and what is wrong with it if it does not
/// become so in time.
async fn read(traces: &Traces, flow: &Flow, deadline: Instant) -> Result<(Trace, Vec<String>), Error> {
    loop {
        let mut trace = Trace::default();
        for id in flow.traces() {
            trace.join(traces.trace(id).await?);
        }
        let findings = compare(flow, &trace);
        if findings.is_empty() || Instant::now() > deadline {
            return Ok((trace, findings));
        }
        sleep(LOOK).await;
    }
}

/// In what a trace differs from its flow, in sentences: edge for edge, and span for record.
pub fn compare(flow: &Flow, trace: &Trace) -> Vec<String> {
    let name = &flow.flow;
    let mut findings = Vec::new();
    let (mut causes, mut parents) = (edges_of_flow(flow), edges_of_trace(trace));
    // What both have is taken away; each occurrence counts.
    causes.retain(|edge| match parents.iter().position(|other| other == edge) {
        Some(same) => {
            parents.remove(same);
            false
        }
        None => true,
    });
    findings.extend(causes.iter().map(|edge| format!("flow {name}: not in its trace: {edge:?}")));
    findings.extend(parents.iter().map(|edge| format!("flow {name}: in its trace only: {edge:?}")));
    findings.extend(flow.steps.iter().filter_map(|step| misplaced(step, trace)));
    let orphans = trace.orphans();
    findings.extend(orphans.map(|span| format!("flow {name}: the parent of {span:?} is not in its trace")));
    findings.extend(trace.warnings.iter().map(|warning| format!("flow {name}: {warning}")));
    findings
}

/// Whether the span that a record names is not the one that wrote it.
fn misplaced(step: &Step, trace: &Trace) -> Option<String> {
    let what = || format!("{} {} ({})", step.stream, step.seq, step.full_name());
    let Some(span) = step.span_id.as_deref().and_then(|id| trace.span(id)) else {
        return Some(format!("{}: its span {:?} is not in its trace", what(), step.span_id));
    };
    let (kind, about) =
        if step.is_system() { (SpanKind::Consumer, step.cause) } else { (SpanKind::Producer, Some(step.id)) };
    let fits = span.kind == kind
        && span.service == step.service
        && span.message_id == about.map(|about| about.to_string());
    (!fits).then(|| format!("{}: it was not written by {span:?}", what()))
}
