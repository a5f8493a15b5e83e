//! Steps that are undone after one failure, and not after another.

use std::collections::{BTreeMap, BTreeSet};

use laban_wire::EventType;
use laban_wire::contract::HandlerContract;

use super::paths::{Joins, Paths, Step, Without, outcomes};
use super::{Finding, Kind, Severity};

/// A way in which a flow fails: this handler emits this, and therefore not these.
struct Failure<'m> {
    at: usize,
    event: &'m EventType,
    without: Without<'m>,
    /// All that may happen in such a flow, by where it begins. Only what the failure is part of.
    flows: Vec<(&'m EventType, BTreeSet<&'m EventType>)>,
    /// What may come of the failure, itself included.
    told: BTreeSet<&'m EventType>,
}

impl<'m> Failure<'m> {
    fn of(paths: &Paths<'m>, at: usize, event: &'m EventType, without: Without<'m>) -> Self {
        let all = paths.beginnings.iter().map(|first| (*first, paths.after(first, without, Joins::NeedAll)));
        // What a deadline waited for in vain may still come, and may come of its passing.
        let afterwards = Without { events: &[], ..without };
        Self {
            at,
            event,
            without,
            flows: all.filter(|(_, happened)| happened.contains(event)).collect(),
            told: paths.after(event, afterwards, Joins::NeedAny),
        }
    }

    /// Whether the step may be done in a flow that fails so. What happens only because the step is being undone does not
    /// count.
    fn may_follow(&self, paths: &Paths<'m>, step: &EventType, undoing: &[usize]) -> bool {
        let forward = Without { handlers: undoing, ..self.without };
        self.flows.iter().any(|(first, happened)| {
            happened.contains(step) && {
                let happened = paths.after(first, forward, Joins::NeedAll);
                happened.contains(step) && happened.contains(self.event)
            }
        })
    }

    /// Whether one of those that undo the step is told of the failure, or of something that comes of it; or waits for a
    /// time.
    fn is_undone(&self, paths: &Paths<'m>, undoing: &[usize]) -> bool {
        undoing.iter().map(|index| paths.handlers[*index].handler).any(|handler| {
            handler.deadline.is_some() || handler.consumes.iter().any(|event| self.told.contains(event))
        })
    }
}

pub(super) fn check(paths: &Paths<'_>, found: &mut Vec<Finding>) {
    // Who undoes what.
    let mut undone = BTreeMap::<&EventType, Vec<usize>>::new();
    for (index, step) in paths.handlers.iter().enumerate() {
        for event in &step.handler.compensates {
            undone.entry(event).or_default().push(index);
        }
    }
    if undone.is_empty() {
        return;
    }
    let failures = failures(paths);
    for (step, undoing) in &undone {
        for failure in &failures {
            if failure.event != *step
                && !undoing.contains(&failure.at)
                && !failure.is_undone(paths, undoing)
                && failure.may_follow(paths, step, undoing)
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
        let of = |event, without| Failure::of(paths, at, event, without);
        match &handler.deadline {
            None => {
                let failed = Without { outcomes: Some((at, handler.emits.as_slice())), ..Without::default() };
                failures.extend(handler.fails_with.iter().map(|event| of(event, failed)));
            }
            Some(deadline) => {
                let late = Without { events: deadline.unless.as_slice(), ..Without::default() };
                failures.extend(outcomes(handler).map(|event| of(event, late)));
            }
        }
    }
    failures
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
