//! What came of a run, for people and for machines.

use std::path::Path;

use laban_flow::{Flow, TreeStyle};
use laban_wire::FlowId;
use serde::Serialize;

use crate::audit::{Audit, End, SpanAudit, ends};
use crate::traces::Traces;
use crate::{Error, History};

/// `summary.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Flows that were begun by orders.
    pub flows: usize,
    /// Those that ended with `order.completed`, and nothing else.
    pub completed: usize,
    /// Those that ended with `order.cancelled`, and nothing else.
    pub cancelled: usize,
    /// Those in which a deadline passed.
    pub overdue: usize,
    /// Requests that were refused, as they should.
    pub rejected_at_http: usize,
    /// Dead letters that stand.
    pub dead: usize,
    /// Flows in which a reaction is awaited.
    pub stuck: usize,
    /// Reactions with more than one outcome, and flows with more than one end or beginning.
    pub duplicates: usize,
    /// Whether money and goods add up.
    pub books_balanced: bool,
    /// From the first order to the end of the last flow.
    pub seconds: f64,
    /// What Jaeger tells; nothing when there is none.
    pub jaeger: Option<Seen>,
    /// What the own receiver tells, when there is no Jaeger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receiver: Option<Seen>,
    /// The versions used.
    pub tools: Tools,
}

/// What the spans tell.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// Where they are.
    pub url: String,
    /// How many traces were read.
    pub traces_checked: usize,
    /// Spans whose parent is not in their trace.
    pub orphan_spans: usize,
    /// The least number of services in the trace of a completed flow.
    pub services_per_trace: Option<usize>,
}

/// Versions.
#[derive(Clone, Debug, Serialize)]
pub struct Tools {
    /// This program's.
    pub laban: &'static str,
    /// The broker's.
    pub nats_server: String,
    /// Jaeger's, as far as it says one.
    pub jaeger: Option<String>,
}

impl Summary {
    /// Puts it together.
    pub fn new(audit: &Audit, spans: &SpanAudit, traces: &Traces, tools: Tools, seconds: f64) -> Self {
        let url = match traces {
            Traces::Jaeger { api, .. } | Traces::Elsewhere { api, .. } => api.url().to_owned(),
            Traces::Receiver { receiver, .. } => receiver.url(),
        };
        let seen = Some(Seen {
            url,
            traces_checked: spans.traces_checked,
            orphan_spans: spans.orphan_spans,
            services_per_trace: spans.services_per_trace,
        });
        let (jaeger, receiver) = match traces {
            Traces::Jaeger { .. } | Traces::Elsewhere { .. } => (seen, None),
            Traces::Receiver { .. } => (None, seen),
        };
        Self {
            flows: audit.flows,
            completed: audit.completed.len(),
            cancelled: audit.cancelled.len(),
            overdue: audit.overdue,
            rejected_at_http: audit.rejected_at_http,
            dead: audit.dead,
            stuck: audit.stuck,
            duplicates: audit.duplicates,
            books_balanced: audit.books_balanced,
            seconds: (seconds * 1e3).round() / 1e3,
            jaeger,
            receiver,
            tools,
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let what = || format!("write {}", path.display());
        let json = serde_json::to_string_pretty(self).map_err(|e| Error::io(what())(e.into()))?;
        std::fs::write(path, json + "\n").map_err(Error::io(what()))
    }
}

/// The smallest flow of each outcome, by name.
pub fn examples(audit: &Audit, history: &History) -> Vec<(String, Flow)> {
    let mut examples: Vec<(String, Flow)> = Vec::new();
    for id in audit.completed.iter().chain(&audit.cancelled).filter(|id| is_plain(id)) {
        let [end] = *ends(history, id) else { continue };
        let name = match end {
            End::Completed => "completed".to_owned(),
            End::Cancelled(Some(reason)) => format!("cancelled, {reason:?}"),
            End::Cancelled(None) => "cancelled".to_owned(),
        };
        let Some(flow) = history.flow(id) else { continue };
        match examples.iter_mut().find(|(other, _)| *other == name) {
            // The longer way round tells more.
            Some((_, known)) if known.steps.len() >= flow.steps.len() => {}
            Some((_, known)) => *known = flow,
            None => examples.push((name, flow)),
        }
    }
    examples
}

fn is_plain(id: &FlowId) -> bool {
    id.key() == id.token()
}

/// All of it as text: a tree of each outcome, and the totals.
pub fn text(summary: &Summary, examples: &[(String, Flow)], traces: &Traces, style: TreeStyle) -> String {
    let mut text = String::new();
    for (_, flow) in examples {
        text += &flow.to_tree(style);
        if let Some(api) = traces.api() {
            text.extend(flow.traces().into_iter().map(|trace| api.trace_url(trace) + "\n"));
        }
        text.push('\n');
    }
    let Summary { flows, completed, cancelled, rejected_at_http, dead, stuck, duplicates, .. } = summary;
    text +=
        &format!("{flows} flows in {:.1} s: {completed} completed, {cancelled} cancelled", summary.seconds);
    text += &match summary.overdue {
        0 => "\n".to_owned(),
        overdue => format!("; in {overdue} a deadline passed\n"),
    };
    text += &format!(
        "{rejected_at_http} requests refused, {dead} dead letters, {stuck} stuck, {duplicates} duplicates\n"
    );
    text += if summary.books_balanced { "the books balance\n" } else { "the books do not balance\n" };
    if let Some(seen) = summary.jaeger.as_ref().or(summary.receiver.as_ref()) {
        text += &format!("{} traces checked, {} orphan spans", seen.traces_checked, seen.orphan_spans);
        text += &match seen.services_per_trace {
            Some(least) => format!(", at least {least} services in that of a completed flow\n"),
            None => "\n".to_owned(),
        };
        text += &match traces {
            Traces::Jaeger { .. } | Traces::Elsewhere { .. } => {
                format!("Jaeger: {}/search?service=order\n", seen.url)
            }
            Traces::Receiver { why, .. } => format!("no Jaeger: {why}\n"),
        };
    }
    text
}
