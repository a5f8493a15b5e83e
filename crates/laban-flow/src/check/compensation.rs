//! Steps that are undone after one failure, and not after another.

use std::collections::BTreeMap;

use laban_wire::EventType;
use laban_wire::contract::HandlerContract;

use super::paths::{Joins, Paths, Step, Without, outcomes};
use super::{Finding, Kind, Severity};
use crate::Map;

/// A way in which a flow fails: this handler emits this, and therefore not these.
struct Failure<'m> {
    at: usize,
    event: &'m EventType,
    without: Without<'m>,
}

pub(super) fn check(_: &Map, paths: &Paths<'_>, found: &mut Vec<Finding>) {
    // Who undoes what.
    let mut undone = BTreeMap::<&EventType, Vec<usize>>::new();
    for (index, step) in paths.handlers.iter().enumerate() {
        for event in &step.handler.compensates {
            undone.entry(event).or_default().push(index);
        }
    }
    let failures = failures(paths);
    for (step, undoing) in &undone {
        for failure in &failures {
            if !undoing.contains(&failure.at)
                && may_fail_after(paths, step, undoing, failure)
                && !is_undone(paths, undoing, failure)
            {
                found.push(finding(paths, step, undoing, failure));
            }
        }
    }
}

/// Failure events, and what a deadline says when it has passed. What comes of undoing is no failure of what is undone.
fn failures<'m>(paths: &Paths<'m>) -> Vec<Failure<'m>> {
    let mut failures = Vec::new();
    let forward = |(_, step): &(usize, &Step<'m>)| step.handler.compensates.is_empty();
    for (at, step) in paths.handlers.iter().enumerate().filter(forward) {
        let handler: &'m HandlerContract = step.handler;
        let failed = Without { outcomes: Some((at, handler.emits.as_slice())), ..Without::default() };
        match &handler.deadline {
            None => {
                failures.extend(handler.fails_with.iter().map(|event| Failure { at, event, without: failed }))
            }
            Some(deadline) => {
                let late = Without { events: deadline.unless.as_slice(), ..Without::default() };
                failures.extend(outcomes(handler).map(|event| Failure { at, event, without: late }));
            }
        }
    }
    failures
}

/// Whether the step may be done in a flow that fails so. What happens only because the step is being undone does not count.
fn may_fail_after(paths: &Paths<'_>, step: &EventType, undoing: &[usize], failure: &Failure<'_>) -> bool {
    if step == failure.event {
        return false;
    }
    paths.beginnings.iter().any(|first| {
        let forward = Without { handlers: undoing, ..failure.without };
        let happened = paths.after(first, forward, Joins::NeedAll);
        happened.contains(step) && happened.contains(failure.event)
    })
}

/// Whether one of those that undo the step is told of the failure, or of something that comes of it; or waits for a time.
fn is_undone(paths: &Paths<'_>, undoing: &[usize], failure: &Failure<'_>) -> bool {
    // What a deadline waited for in vain may still come, and may come of its passing.
    let afterwards = Without { events: &[], ..failure.without };
    let told = paths.after(failure.event, afterwards, Joins::NeedAny);
    undoing.iter().map(|index| paths.handlers[*index].handler).any(|handler| {
        handler.deadline.is_some() || handler.consumes.iter().any(|event| told.contains(event))
    })
}

fn finding(paths: &Paths<'_>, step: &EventType, undoing: &[usize], failure: &Failure<'_>) -> Finding {
    let name = |index: usize| {
        let Step { member, handler } = paths.handlers[index];
        (member.name(), handler.name.as_str())
    };
    let others = undoing.iter().map(|index| {
        let (service, handler) = name(*index);
        let events: Vec<_> = paths.handlers[*index].handler.consumes.iter().map(EventType::as_str).collect();
        format!("{handler} of {service} undoes it on {}", events.join(", "))
    });
    let (failing, by) = name(failure.at);
    let mut services = vec![step.service().to_owned(), failing.to_owned()];
    services.extend(undoing.iter().map(|index| name(*index).0.to_owned()));
    services.sort();
    services.dedup();
    Finding {
        kind: Kind::MissingCompensation,
        severity: Severity::Warning,
        subject: format!("{step}/{}", failure.event),
        services,
        what: format!(
            "{step} may have happened when {by} of {failing} emits {}, and nobody undoes it then",
            failure.event
        ),
        fix: format!(
            "let {} react to {} as well, with `.compensates`, or accept that it stays",
            step.service(),
            failure.event
        ),
        details: others.collect(),
    }
}
