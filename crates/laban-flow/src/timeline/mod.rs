//! When each step waited, was worked on and was stored, on one axis.

mod draw;
mod scale;

use std::collections::HashMap;

use crate::state::{Work, work};
use crate::{Flow, Inside, Step};

pub(crate) use scale::Scale;

/// A flow on an axis of milliseconds since its start.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// A bar for each step, in the order of the steps.
    pub bars: Vec<Bar>,
    /// When the last of them ends.
    pub length_ms: f64,
}

/// When one step waited, was worked on and was stored.
///
/// Laid out from what causes what: a reaction begins where its cause is, and takes as long as its record says. The broker's
/// timestamp says when it was stored, unless that was before it could have been: the clocks of two machines never put an effect
/// before its cause.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bar {
    /// From here on it waited in the stream, or for its next attempt.
    pub waiting_ms: f64,
    /// From here on the handler ran.
    pub running_ms: f64,
    /// Here the handler ended.
    pub ended_ms: f64,
    /// Here the record was stored.
    pub stored_ms: f64,
    /// The handler made another record in the same run, whose bar shows it.
    pub shown_above: bool,
}

impl Bar {
    /// The bar of a span inside this one's run, and no longer than that.
    pub(crate) fn of_inside(&self, span: &Inside) -> Self {
        let running_ms = (self.running_ms + span.begin_ms.max(0.0)).min(self.ended_ms);
        let ended_ms = (running_ms + span.took_ms.max(0.0)).min(self.ended_ms);
        Self { waiting_ms: running_ms, running_ms, ended_ms, stored_ms: f64::NAN, shown_above: false }
    }
}

impl Flow {
    /// Lays the flow out in time.
    pub fn timeline(&self) -> Timeline {
        let mut bars: Vec<Bar> = Vec::with_capacity(self.steps.len());
        let mut runs: HashMap<(Work<'_>, Option<u32>), usize> = HashMap::new();
        let mut attempts: HashMap<Work<'_>, f64> = HashMap::new();
        for (step, cause) in self.steps.iter().zip(self.causes()) {
            let at = self.since_start(step);
            let Some(work) = work(step) else {
                bars.push(Bar {
                    waiting_ms: at,
                    running_ms: at,
                    ended_ms: at,
                    stored_ms: at,
                    shown_above: false,
                });
                continue;
            };
            if let Some(first) = runs.get(&(work, step.attempt)).copied() {
                let first = bars[first];
                let stored_ms = first.ended_ms.max(at);
                bars.push(Bar { stored_ms, shown_above: true, ..first });
                continue;
            }
            let [queue, handle] = [step.queue_ms, step.handle_ms].map(|ms| ms.map_or(0.0, |ms| ms.as_f64()));
            let begin = cause.map_or(at - queue - handle, |cause| bars[cause].stored_ms);
            let again = attempts.get(&work).copied();
            let unaccounted = cause.map_or(0.0, |cause| at - bars[cause].stored_ms - queue - handle);
            let is_late = unaccounted > if again.is_some() { LATE_AGAIN_MS } else { LATE_MS };
            let running_ms = if is_late { (at - handle).max(begin) } else { begin + queue };
            let waiting_ms =
                again.unwrap_or(if is_late { running_ms - queue } else { begin }).min(running_ms);
            let ended_ms = running_ms + handle;
            let stored_ms = ended_ms.max(at);
            attempts.insert(work, stored_ms);
            runs.insert((work, step.attempt), bars.len());
            bars.push(Bar { waiting_ms, running_ms, ended_ms, stored_ms, shown_above: false });
        }
        let length_ms = bars.iter().map(|bar| bar.stored_ms).fold(0.0, f64::max);
        Timeline { bars, length_ms }
    }

    pub(crate) fn since_start(&self, step: &Step) -> f64 {
        (step.at - self.started_at).as_seconds_f64() * 1e3
    }
}

/// A run that was stored later than its record accounts for by this much began later: it waited for a deadline, or for another
/// attempt. A commit takes less.
const LATE_MS: f64 = 500.0;
const LATE_AGAIN_MS: f64 = 50.0;
