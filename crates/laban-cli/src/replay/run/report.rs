//! What is said before a run, and after it.

use std::fmt::Write as _;

use laban_flow::replay::run::{Counts, End, ResumeAt, Run, Totals};
use laban_wire::{EventType, ServiceName};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

/// How much will be handed to whom.
pub(super) fn plan(service: &ServiceName, run: &Run) -> String {
    let requests = run.requests();
    let mut text = match requests {
        0 => format!("nothing is selected that {service} reacts to\n"),
        1 => format!("1 message to hand to {service}\n"),
        _ => format!("{requests} messages to hand to {service}\n"),
    };
    for one in run.touched() {
        let events: Vec<&str> = one.events.iter().map(EventType::as_str).collect();
        let _ = write!(text, "  {}: {} of {}", one.handler, one.messages, events.join(", "));
        text.push_str(if one.at_least_once { "; it has no fence and runs again for each\n" } else { "\n" });
    }
    text
}

pub(super) fn plan_json(service: &ServiceName, run: &Run) -> String {
    json!({ "service": service, "messages": run.requests(), "handlers": touched(run) }).to_string() + "\n"
}

fn touched(run: &Run) -> Vec<Value> {
    let one = |one: &laban_flow::replay::run::Touched| {
        json!({
            "handler": one.handler,
            "events": one.events,
            "messages": one.messages,
            "at_least_once": one.at_least_once,
        })
    };
    run.touched().iter().map(one).collect()
}

/// One line for each handler.
pub(super) fn totals(totals: &Totals) -> String {
    let mut text = String::new();
    for counts in &totals.handlers {
        let said: Vec<String> = words(counts)
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let said = if said.is_empty() { "nothing handed over".to_owned() } else { said.join(", ") };
        let _ = writeln!(text, "{}: {said}", counts.handler);
    }
    text
}

fn words(counts: &Counts) -> [(u64, &'static str); 12] {
    [
        (counts.absorbed, "absorbed"),
        (counts.emitted, "took effect now"),
        (counts.handled, "handled now, emitting nothing"),
        (counts.dead, "dead"),
        (counts.dead_before, "dead before"),
        (counts.awaited, "with what the deadline waits for"),
        (counts.not_due, "whose deadline has not passed"),
        (counts.gone, "gone"),
        (counts.unreadable, "unreadable"),
        (counts.refused, "refused"),
        (counts.unanswered, "unanswered"),
        (counts.failed_attempts, "failed and retried"),
    ]
}

pub(super) fn totals_json(service: &ServiceName, run: &Run, totals: &Totals) -> String {
    let mut all = json!(totals);
    all["service"] = json!(service);
    all["messages"] = json!(run.requests());
    if let Some(handlers) = all["handlers"].as_array_mut() {
        for (counts, touched) in handlers.iter_mut().zip(touched(run)) {
            for member in ["events", "messages", "at_least_once"] {
                counts[member] = touched[member].clone();
            }
        }
    }
    all.to_string() + "\n"
}

/// What is wrong, and what to do next.
pub(super) fn problems(service: &ServiceName, totals: &Totals) -> Vec<String> {
    let mut lines: Vec<String> = totals
        .problems
        .iter()
        .map(|one| format!("laban: {} {}, {}: {}", one.stream, one.seq, one.handler, one.what))
        .collect();
    match &totals.end {
        End::Complete => {}
        End::Stopped => lines.push("laban: stopped before the end".to_owned()),
        End::NobodyServes { handler } => lines.push(format!(
            "laban: no instance of {service} answers for handler `{handler}`: start one of a release that has replays; \
             if one runs, its credentials must allow it to subscribe to `_replay.{service}.*`, and yours to publish there"
        )),
        End::CutShort { reason } => lines.push(format!("laban: history could not be read on: {reason}")),
    }
    if let Some(resume_at) = &totals.resume_at {
        let at = match resume_at {
            ResumeAt::FromSeq(seq) => format!("--from-seq {seq}"),
            ResumeAt::Since(at) => format!("--since {}", at.format(&Rfc3339).unwrap_or_default()),
        };
        lines.push(format!("laban: to go on: the same command with {at}"));
    }
    lines
}
