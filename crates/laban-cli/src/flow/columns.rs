//! A flow as one line of a list.

use std::collections::BTreeSet;

use laban_flow::{Flow, words};
use time::OffsetDateTime;

/// A longer key pushes the columns of its own line only.
const KEY: usize = 26;

pub(crate) struct Columns {
    colours: bool,
    ascii: bool,
}

impl Columns {
    pub(crate) fn new(colours: bool, ascii: bool) -> Self {
        Self { colours, ascii }
    }

    pub(crate) fn head(&self) -> String {
        let head =
            format!("{:<KEY$}  {:<11}  {:<27}  {:>10}  {:>5}  ", "flow", "state", "at", "took", "steps");
        format!("{head}missing").trim_end().to_owned()
    }

    pub(crate) fn line(&self, flow: &Flow, at: OffsetDateTime) -> String {
        let key = words::quoted(&flow.flow, self.ascii);
        let state = format!("{:<11}", flow.state.to_string());
        let state = if self.colours { words::coloured(flow.state, &state) } else { state };
        let last = flow.steps.iter().map(|step| step.at).max().unwrap_or(flow.started_at);
        let took = words::duration((last - flow.started_at).as_seconds_f64() * 1e3);
        let line = format!(
            "{key:<KEY$}  {state}  {}  {took:>10}  {:>5}  {}",
            words::stamp(at),
            flow.steps.len(),
            self.missing(flow)
        );
        line.trim_end().to_owned()
    }

    /// What is wrong, or still to come.
    fn missing(&self, flow: &Flow) -> String {
        let mut missing: Vec<String> = flow
            .dead_letters()
            .map(|step| format!("{} {} gave up", step.service, step.handler.as_deref().unwrap_or_default()))
            .collect();
        let overdue = flow.overdue().map(|(awaited, overdue)| {
            format!("{} {}, {}", awaited.service, awaited.handler, overdue.why.as_str())
        });
        missing.extend(overdue);
        if missing.is_empty() {
            missing.extend(
                flow.awaited.iter().map(|awaited| format!("{} {}", awaited.service, awaited.handler)),
            );
        }
        let all = missing.len();
        missing.truncate(2);
        if all > missing.len() {
            missing.push(format!("{} more", all - missing.len()));
        }
        words::plain(&missing.join("; "), self.ascii)
    }
}

/// The services that have a record of the flow.
pub(crate) fn services(flow: &Flow) -> BTreeSet<&str> {
    flow.steps.iter().map(|step| step.service.as_str()).collect()
}
