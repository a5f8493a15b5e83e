use demo::History;
use demo::audit::{End, ends};
use demo::orders::Ending;
use laban_flow::Flow;
use laban_wire::FlowId;
use shop::events::CancelReason;

use super::{Audit, Kind, truth};
use crate::ledger::{Answered, Entry};

impl Audit {
    /// One flow, against what its order should have come to.
    pub(super) fn flow(&mut self, history: &History, id: &FlowId, entry: &Entry) {
        let Some(flow) = history.flow(id) else {
            // An order without an answer may never have come to anything.
            if entry.answer != Answered::Unknown {
                let what = &entry.order.what;
                self.found(
                    Kind::Lost,
                    format!("flow {id} ({what}): it was accepted, and there is no record of it"),
                );
            }
            return;
        };
        self.unknown_taken += usize::from(entry.answer == Answered::Unknown);
        self.records += flow.steps.len();
        self.events += flow.steps.iter().filter(|step| !step.is_system()).count();
        self.dead_letters += flow.steps.iter().filter(|step| step.event == laban_wire::DEAD).count();
        if let Some(beginning) = not_as_answered(&flow, entry) {
            self.found(Kind::Lost, format!("flow {id}: {beginning}"));
        }
        for twice in flow.steps.iter().filter(|step| step.duplicate) {
            let what = twice.full_name();
            self.found(
                Kind::Duplicate,
                format!("flow {id}: {what} is stored twice ({} {})", twice.stream, twice.seq),
            );
        }
        for letter in flow.dead_letters() {
            let error = letter.error.as_deref().unwrap_or_default();
            let (service, handler) = (&letter.service, letter.handler.as_deref().unwrap_or_default());
            let reason = letter.reason.map_or("", laban_wire::DeadReason::as_str);
            self.found(
                Kind::DeadLetter,
                format!("flow {id}: {service} {handler} gave up ({reason}): {error}"),
            );
        }
        for unreadable in &flow.unreadable {
            let (subject, reason) = (&unreadable.subject, &unreadable.reason);
            self.found(Kind::Stranger, format!("flow {id}: {subject} cannot be read: {reason}"));
        }
        if flow.ended_at.is_none() {
            let awaited =
                flow.awaited.iter().map(|one| format!("{} {} on {}", one.service, one.handler, one.event));
            let awaited = awaited.collect::<Vec<_>>().join(", ");
            return self.found(Kind::Stuck, format!("flow {id}: it has not ended; awaited: {awaited}"));
        }
        let overdue = truth::is_overdue(&flow);
        self.overdue += usize::from(overdue);
        self.ending(history, id, entry, overdue);
        if let Some(ending) = entry.order.ending {
            let wrong = truth::compare(&flow, ending);
            self.found_all(Kind::Graph, wrong.into_iter().map(|wrong| format!("flow {id}: {wrong}")));
        }
    }

    fn ending(&mut self, history: &History, id: &FlowId, entry: &Entry, overdue: bool) {
        let what = &entry.order.what;
        let ends = ends(history, id);
        let [end] = ends.as_slice() else {
            let kind = if ends.is_empty() { Kind::Lost } else { Kind::Duplicate };
            return self.found(kind, format!("flow {id} ({what}): it should have one end, it has {ends:?}"));
        };
        match end {
            End::Completed => {
                self.completed.insert(id.clone(), entry.order.total_cents);
            }
            End::Cancelled(_) => self.cancelled += 1,
        }
        let expected = entry.order.ending;
        if !expected.is_some_and(|expected| fits(*end, expected, overdue)) {
            self.found(
                Kind::Ending,
                format!("flow {id} ({what}): it should have ended with {expected:?}, it ended with {end:?}"),
            );
        }
    }
}

/// Whether a flow ended as its order should. Any order may end for want of a payment, if that came to be overdue.
fn fits(end: End, expected: Ending, overdue: bool) -> bool {
    end.fits(expected) || (overdue && end == End::Cancelled(Some(CancelReason::PaymentOverdue)))
}

/// Whether the first event is not the one that was acknowledged.
fn not_as_answered(flow: &Flow, entry: &Entry) -> Option<String> {
    let placed = flow.steps.iter().find(|step| step.full_name() == "order.placed");
    let Some(placed) = placed else {
        return Some("it has no beginning".to_owned());
    };
    match &entry.answer {
        Answered::Accepted { trace_id: Some(answered) } if placed.trace_id.as_ref() != Some(answered) => {
            Some(format!("trace {answered} was answered, it began in {:?}", placed.trace_id))
        }
        _ => None,
    }
}
