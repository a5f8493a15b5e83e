//! What a service author's own spans say about a handler's run, where Jaeger has them. What comes from there is shown and
//! decides nothing.

use std::collections::{HashMap, HashSet};

use laban_wire::FlowId;
use serde::{Deserialize, Serialize};

use crate::words::shortened;
use crate::{Flow, Step};

/// More spans of one run are left out, and so are those that are deeper, and what is longer is cut.
const MOST: usize = 100;
const DEEPEST: usize = 16;
const LONGEST_NAME: usize = 200;

/// A span of a service author's own, inside a handler's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inside {
    /// Its name.
    pub name: String,
    /// How many such spans it is below.
    pub depth: usize,
    /// When it began, after the beginning of the run; by the clock of the service.
    pub begin_ms: f64,
    /// How long it took.
    pub took_ms: f64,
    /// It ended with an error.
    pub failed: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Vec<Trace>>,
}

#[derive(Deserialize)]
struct Trace {
    #[serde(default, rename = "traceID")]
    trace_id: String,
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(default)]
    operation_name: String,
    #[serde(default)]
    references: Vec<Reference>,
    /// In microseconds.
    #[serde(default)]
    start_time: u64,
    #[serde(default)]
    duration: u64,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    #[serde(default)]
    ref_type: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: serde_json::Value,
}

impl Span {
    fn tag(&self, key: &str) -> Option<&serde_json::Value> {
        self.tags.iter().find(|tag| tag.key == key).map(|tag| &tag.value)
    }

    /// The span that it is a child of. Jaeger shows a parent that is linked to as well as what is followed from.
    fn parent(&self) -> Option<&str> {
        let child_of = self.references.iter().find(|one| one.ref_type == "CHILD_OF");
        child_of.or(self.references.first()).map(|one| one.span_id.as_str())
    }

    /// One of the framework's own.
    fn is_labans(&self) -> bool {
        self.tag("laban.flow").is_some()
    }
}

/// The flow of a trace, if one of its spans names it. `answer` is Jaeger's, at `/api/traces/<id>`.
///
/// # Errors
/// When it is not such an answer.
pub fn flow_of_trace(answer: &[u8]) -> Result<Option<FlowId>, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(answer)?;
    let spans = answer.data.unwrap_or_default().into_iter().flat_map(|trace| trace.spans);
    let mut keys = spans.filter_map(|span| span.tag("laban.flow")?.as_str().map(str::to_owned));
    Ok(keys.find_map(|key| FlowId::new(key).ok()))
}

impl Flow {
    /// Puts the spans of handlers' own into the steps that they belong to; says how many. `answer` is Jaeger's, at
    /// `/api/traces/<id>`, for one of the flow's [traces](Flow::traces).
    ///
    /// # Errors
    /// When it is not such an answer.
    pub fn put_inside(&mut self, answer: &[u8]) -> Result<usize, serde_json::Error> {
        let answer: Answer = serde_json::from_slice(answer)?;
        let mut put = 0;
        for trace in answer.data.unwrap_or_default() {
            let by_id: HashMap<&str, &Span> =
                trace.spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
            let mut below: HashMap<&str, Vec<&Span>> = HashMap::new();
            for span in trace.spans.iter().filter(|span| !span.is_labans()) {
                if let Some(parent) = span.parent() {
                    below.entry(parent).or_default().push(span);
                }
            }
            below.values_mut().for_each(|spans| spans.sort_by_key(|span| span.start_time));
            // Several records of one run: its spans are in the first one.
            let mut used = HashSet::new();
            // Jaeger leaves out the first half of an id that is zero there.
            let id = format!("{:0>32}", trace.trace_id);
            let steps = self.steps.iter_mut().filter(|step| step.trace_id.as_ref() == Some(&id));
            for step in steps {
                let Some(run) = run_of(step, &by_id).filter(|run| used.insert(run.span_id.as_str())) else {
                    continue;
                };
                step.inside = inside(run, &below);
                put += step.inside.len();
            }
        }
        Ok(put)
    }
}

/// The span of the run that wrote a record: an event names the span that sent it, a system record the run's own.
fn run_of<'s>(step: &Step, by_id: &HashMap<&str, &'s Span>) -> Option<&'s Span> {
    step.handler.as_ref()?;
    let own = by_id.get(step.span_id.as_deref()?)?;
    if step.is_system() { Some(own) } else { by_id.get(own.parent()?).copied() }
}

/// All that is below a run. With no recursion, and no span twice: whoever answered may have made a circle of them.
fn inside(run: &Span, below: &HashMap<&str, Vec<&Span>>) -> Vec<Inside> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([run.span_id.as_str()]);
    let children = |id: &str| below.get(id).into_iter().flatten().rev().copied();
    let mut left: Vec<(&Span, usize)> = children(&run.span_id).map(|span| (span, 0)).collect();
    while let Some((span, depth)) = left.pop() {
        if found.len() == MOST || !seen.insert(span.span_id.as_str()) {
            continue;
        }
        let failed = match span.tag("error") {
            Some(serde_json::Value::Bool(failed)) => *failed,
            Some(value) => value == "true",
            None => false,
        };
        found.push(Inside {
            name: shortened(span.operation_name.clone(), LONGEST_NAME, false),
            depth,
            begin_ms: (span.start_time.saturating_sub(run.start_time)) as f64 / 1e3,
            took_ms: span.duration as f64 / 1e3,
            failed,
        });
        if depth < DEEPEST {
            left.extend(children(&span.span_id).map(|span| (span, depth + 1)));
        }
    }
    found
}
