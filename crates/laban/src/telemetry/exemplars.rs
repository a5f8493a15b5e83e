//! Exemplars: for a latency on a dashboard, the trace of one event that took that long.
//!
//! Neither the OpenTelemetry SDK nor its exporter for Prometheus keeps any, so they are kept here, beside the histogram, in
//! a slot for each of its buckets.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, TraceId};

use super::metrics::BOUNDS;

/// A measurement, and the span in which it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) value: f64,
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    pub(super) at: SystemTime,
}

/// One for each bucket of a histogram with the framework's bounds, and of one set of labels.
#[derive(Debug, Default)]
pub(super) struct Exemplars([Slot; BOUNDS.len() + 1]);

#[derive(Debug, Default)]
struct Slot {
    /// Whether it was filled since it was shown: what comes then costs no more than this look.
    fresh: AtomicBool,
    kept: Mutex<Option<Exemplar>>,
}

impl Exemplars {
    /// Keeps a measurement, unless the slot of its bucket has a new one, or the span is not exported.
    pub(super) fn offer(&self, measured: Duration, span: &SpanContext) {
        if !span.is_sampled() {
            return;
        }
        let value = measured.as_secs_f64();
        let slot = &self.0[bucket(value)];
        if slot.fresh.load(Relaxed) {
            return;
        }
        // Nobody waits for a slot: whoever holds it keeps one as good as this.
        if let Ok(mut kept) = slot.kept.try_lock() {
            let (trace, span) = (span.trace_id(), span.span_id());
            *kept = Some(Exemplar { value, trace, span, at: SystemTime::now() });
            slot.fresh.store(true, Relaxed);
        }
    }

    /// What was kept for the bucket that a value up to `bound` falls into, and makes room for the next.
    pub(super) fn show(&self, bound: f64) -> Option<Exemplar> {
        let slot = &self.0[bucket(bound)];
        slot.fresh.store(false, Relaxed);
        *slot.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(value: f64) -> usize {
    BOUNDS.partition_point(|bound| *bound < value)
}

/// A histogram that has exemplars, and the labels by which one handler's is told from another's, as Prometheus spells them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) labels: &'static [&'static str],
}

/// How long an event waited: `laban.queue.duration`.
pub(super) const WAITED: Measured =
    Measured { name: "laban_queue_duration_seconds", labels: &["laban_service", "laban_handler"] };

/// How long a handler ran: `messaging.process.duration`.
pub(super) const RAN: Measured =
    Measured { name: "messaging_process_duration_seconds", labels: &["messaging_consumer_group_name"] };

/// All of them.
pub(super) const MEASURED: [Measured; 2] = [WAITED, RAN];

/// By the histogram and the values of its labels.
type All = BTreeMap<(&'static str, Vec<String>), Arc<Exemplars>>;

/// Those of all handlers in this process, as its instruments are.
static ALL: Mutex<All> = Mutex::new(BTreeMap::new());

impl Measured {
    /// Those with these values of its labels.
    pub(super) fn of(self, values: &[&str]) -> Arc<Exemplars> {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((self.name, values)).or_default())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceFlags, TraceState};

    use super::*;

    fn span(trace: u128, flags: TraceFlags) -> SpanContext {
        SpanContext::new(TraceId::from(trace), SpanId::from(7_u64), flags, true, TraceState::NONE)
    }

    #[test]
    fn the_first_since_the_last_look_is_kept_in_the_bucket_of_its_value() {
        let exemplars = Exemplars::default();
        let ms = Duration::from_millis;
        exemplars.offer(ms(3), &span(1, TraceFlags::SAMPLED));
        exemplars.offer(ms(4), &span(2, TraceFlags::SAMPLED));
        exemplars.offer(ms(90_000), &span(3, TraceFlags::SAMPLED));
        let shown = |bound| exemplars.show(bound).map(|one| u128::from_be_bytes(one.trace.to_bytes()));
        assert_eq!((shown(0.005), shown(0.01), shown(f64::INFINITY)), (Some(1), None, Some(3)));
        assert_eq!(shown(0.005), Some(1), "what is there stays until there is a new one");
        exemplars.offer(ms(5), &span(4, TraceFlags::SAMPLED));
        assert_eq!(shown(0.005), Some(4), "a bound belongs to its bucket");
    }

    #[test]
    fn a_span_that_is_not_exported_is_no_exemplar() {
        let exemplars = Exemplars::default();
        exemplars.offer(Duration::from_millis(3), &span(1, TraceFlags::default()));
        assert_eq!(exemplars.show(0.005), None);
    }
}
