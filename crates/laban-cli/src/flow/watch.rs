//! `laban flow show --watch`: a flow as it goes.

use std::collections::HashSet;
use std::time::Duration;

use laban_flow::{Flow, Mesh, State, Step, words};
use laban_wire::{FlowId, FlowReader};

use super::show::{Form, Format};
use crate::{Failure, terminal};

/// How often the streams are read.
const EVERY: Duration = Duration::from_millis(400);
/// How many reads later consumers are asked again: what is overdue takes longer than that.
const DISCOVERY: usize = 5;

/// Until the flow has ended, or until Ctrl-C.
pub(super) async fn run(
    client: &async_nats::Client,
    reader: &FlowReader,
    id: &FlowId,
    form: &Form,
    grace: Duration,
) -> Result<(), Failure> {
    if !matches!(form.format(), Format::Tree | Format::Timeline | Format::Json) {
        return Err(Failure::NotDone("only a tree, a timeline or JSON can be watched".to_owned()));
    }
    let watching = watch(client, reader, id, form, grace);
    tokio::select! {
        ended = watching => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn watch(
    client: &async_nats::Client,
    reader: &FlowReader,
    id: &FlowId,
    form: &Form,
    grace: Duration,
) -> Result<(), Failure> {
    let mut shown: Option<Flow> = None;
    let mut waiting = false;
    loop {
        let mesh = Mesh::discover(client).await?;
        for _ in 0..DISCOVERY {
            match Flow::read(reader.clone(), &mesh, id).await?.map(|flow| flow.judged(&mesh, grace)) {
                Some(flow) if shown.as_ref() != Some(&flow) => {
                    if !show(&flow, shown.as_ref(), form)? || flow.ended_at.is_some() {
                        return Ok(());
                    }
                    shown = Some(flow);
                }
                None if !waiting => {
                    terminal::say(&format!("laban: there is no flow {:?} yet; waiting for it", id.key()));
                    waiting = true;
                }
                _ => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Says whether anybody still looks.
fn show(flow: &Flow, before: Option<&Flow>, form: &Form) -> Result<bool, Failure> {
    if form.format() == Format::Json {
        let line = serde_json::to_string(flow).map_err(|e| Failure::NotDone(e.to_string()))?;
        return terminal::print_on(&(line + "\n"));
    }
    if terminal::is_drawn_on() {
        // Home, then everything below is cleared: what was there before stays in the scroll-back.
        return terminal::print_on(&format!("\x1b[H\x1b[2J{}", form.write(flow)?));
    }
    terminal::print_on(&changes(flow, before, form.style().ascii))
}

/// A line for each new step, and one for a new state.
fn changes(flow: &Flow, before: Option<&Flow>, ascii: bool) -> String {
    let place = |step: &Step| (step.stream.clone(), step.seq);
    let known: HashSet<_> = before.iter().flat_map(|flow| &flow.steps).map(place).collect();
    let mut lines = String::new();
    for step in flow.steps.iter().filter(|step| !known.contains(&place(step))) {
        let at = words::offset((step.at - flow.started_at).as_seconds_f64() * 1e3);
        let by = step.handler.as_deref().map(|handler| format!("  {handler}")).unwrap_or_default();
        let error = step.error.as_deref().map(|error| format!("  {error}")).unwrap_or_default();
        let line = format!("{at:>10}  {}{by}{error}", step.full_name());
        lines += &words::plain(&line, ascii);
        lines.push('\n');
    }
    if before.is_none_or(|before| before.state != flow.state)
        && (before.is_some() || flow.state != State::Running)
    {
        lines += &format!("flow {} is {}", words::quoted(&flow.flow, ascii), flow.state);
        for (awaited, overdue) in flow.overdue() {
            lines += &format!("; {} {}: {}", awaited.service, awaited.handler, overdue.why.as_str());
        }
        lines.push('\n');
    }
    lines
}
