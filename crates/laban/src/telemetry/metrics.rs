//! Instruments: the OpenTelemetry messaging conventions' names, and Laban's own.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::metrics::{BoundCounter, BoundGauge, BoundHistogram, Counter, Gauge, Histogram, Meter};
use opentelemetry::{KeyValue, global};

use super::{SCOPE, SpanCounts};

/// Seconds, from half a millisecond to a minute.
pub(super) const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The service's instruments. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Instruments>);

#[derive(Debug)]
struct Instruments {
    service: KeyValue,
    process_duration: Histogram<f64>,
    operation_duration: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    commits: Counter<u64>,
    duplicates: Counter<u64>,
    retries: Counter<u64>,
    dead_letters: Counter<u64>,
    fences_lost: Counter<u64>,
    appends_failed: Counter<u64>,
    queue_duration: Histogram<f64>,
    lag: Gauge<u64>,
}

impl Metrics {
    pub(crate) fn of(service: &str) -> Self {
        let meter = global::meter(SCOPE);
        let counter = |name, about| counter(&meter, name, about);
        let seconds = |name, about| seconds(&meter, name, about);
        Self(Arc::new(Instruments {
            service: KeyValue::new("laban.service", service.to_owned()),
            process_duration: seconds("messaging.process.duration", "Time a handler took for one event"),
            operation_duration: seconds(
                "messaging.client.operation.duration",
                "Time the broker took to take a commit",
            ),
            sent: counter("messaging.client.sent.messages", "Messages that handlers tried to write"),
            consumed: counter(
                "messaging.client.consumed.messages",
                "Messages that were delivered to handlers",
            ),
            commits: counter("laban.commits", "Outcomes that took effect"),
            duplicates: counter("laban.duplicates", "Deliveries whose outcome had taken effect before"),
            retries: counter("laban.retries", "Attempts that failed and will be made again"),
            dead_letters: counter("laban.dead_letters", "Events that a handler gave up on"),
            fences_lost: counter("laban.fences.lost", "Commits that found that another was there first"),
            appends_failed: counter("laban.appends.failed", "Appends that failed, but for lost fences"),
            queue_duration: seconds("laban.queue.duration", "Time an event waited in its stream"),
            lag: meter
                .u64_gauge("laban.consumer.lag")
                .with_description("Events that wait for a handler: not yet delivered to any instance")
                .build(),
        }))
    }

    /// Shows what becomes of spans.
    pub(crate) fn watch_spans(&self, counts: &Arc<SpanCounts>) {
        let meter = global::meter(SCOPE);
        let (lost, exported) = (Arc::clone(counts), Arc::clone(counts));
        let lost = meter
            .u64_observable_counter("laban.spans.dropped")
            .with_description("Spans that were lost, by reason")
            .with_callback(move |observer| {
                observer.observe(lost.queue_full(), &[KeyValue::new("reason", "queue_full")]);
                observer.observe(lost.export_failed(), &[KeyValue::new("reason", "export_failed")]);
            });
        lost.build();
        let exported = meter
            .u64_observable_counter("laban.spans.exported")
            .with_description("Spans that were delivered")
            .with_callback(move |observer| observer.observe(exported.exported(), &[]));
        exported.build();
    }

    pub(crate) fn fence_lost(&self) {
        self.0.fences_lost.add(1, std::slice::from_ref(&self.0.service));
    }

    /// An append of a handler's failed. Rare: it looks for its labels.
    pub(crate) fn append_failed(&self, handler: &str, why: AppendFailure) {
        self.0.appends_failed.add(1, &self.0.failure(handler, why));
    }

    /// The instruments of one handler, bound to its labels: a measurement is then an addition, not a search.
    pub(crate) fn handler(&self, handler: &str, event: &str, consumer: &str) -> HandlerMetrics {
        let all = &self.0;
        let own = [all.service.clone(), KeyValue::new("laban.handler", handler.to_owned())];
        let messaging = |operation: &'static str| {
            [
                KeyValue::new("messaging.system", "nats"),
                KeyValue::new("messaging.operation.name", operation),
                KeyValue::new("messaging.destination.template", format!("{event}.{{flow}}")),
                KeyValue::new("messaging.consumer.group.name", consumer.to_owned()),
            ]
        };
        let (process, send) = (messaging("process"), messaging("send"));
        let metrics = HandlerMetrics {
            consumed: all.consumed.bind(&process),
            waited: all.queue_duration.bind(&own),
            processed: all.process_duration.bind(&process),
            sent: all.sent.bind(&send),
            took: all.operation_duration.bind(&send),
            commits: all.commits.bind(&own),
            duplicates: all.duplicates.bind(&own),
            retries: all.retries.bind(&own),
            dead_letters: all.dead_letters.bind(&own),
            lag: all.lag.bind(&[
                all.service.clone(),
                KeyValue::new("laban.handler", handler.to_owned()),
                KeyValue::new("messaging.consumer.group.name", consumer.to_owned()),
            ]),
            tally: Arc::default(),
        };
        // A counter that has not been touched is not exported, and an alert on it would say nothing.
        for counter in [&metrics.commits, &metrics.duplicates, &metrics.retries, &metrics.dead_letters] {
            counter.add(0);
        }
        all.fences_lost.add(0, std::slice::from_ref(&all.service));
        for why in AppendFailure::ALL {
            all.appends_failed.add(0, &all.failure(handler, why));
        }
        metrics
    }
}

impl Instruments {
    fn failure(&self, handler: &str, why: AppendFailure) -> [KeyValue; 3] {
        [
            self.service.clone(),
            KeyValue::new("laban.handler", handler.to_owned()),
            KeyValue::new("reason", why.as_str()),
        ]
    }
}

/// Why an append failed, if it was not for a lost fence.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AppendFailure {
    /// No answer: it may have taken place.
    Unanswered,
    /// The broker could not take it then.
    Unavailable,
    /// The broker will never take it.
    Refused,
}

impl AppendFailure {
    const ALL: [Self; 3] = [Self::Unanswered, Self::Unavailable, Self::Refused];

    fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}

/// One handler's instruments.
#[derive(Clone, Debug)]
pub(crate) struct HandlerMetrics {
    consumed: BoundCounter<u64>,
    waited: BoundHistogram<f64>,
    processed: BoundHistogram<f64>,
    sent: BoundCounter<u64>,
    took: BoundHistogram<f64>,
    commits: BoundCounter<u64>,
    duplicates: BoundCounter<u64>,
    retries: BoundCounter<u64>,
    dead_letters: BoundCounter<u64>,
    lag: BoundGauge<u64>,
    /// For those who ask the process itself.
    pub(crate) tally: Arc<Tally>,
}

/// What one handler has done since its process started. Instruments can be added to, but not read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    deliveries: AtomicU64,
    failed: AtomicU64,
    nanos: AtomicU64,
    last_error: Mutex<String>,
}

/// What the services protocol shows of an error.
const SHOWN: usize = 256;

impl Tally {
    /// Deliveries, failed attempts, and nanoseconds at work.
    pub(crate) fn read(&self) -> (u64, u64, u64) {
        let [deliveries, failed, nanos] =
            [&self.deliveries, &self.failed, &self.nanos].map(|count| count.load(Relaxed));
        (deliveries, failed, nanos)
    }

    /// The last error, cut short; empty when there was none.
    pub(crate) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, error: &str) {
        self.failed.fetch_add(1, Relaxed);
        let shown = error.chars().take(SHOWN).collect();
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }
}

impl HandlerMetrics {
    pub(crate) fn received(&self, waited: Duration) {
        self.tally.deliveries.fetch_add(1, Relaxed);
        self.consumed.add(1);
        self.waited.record(waited.as_secs_f64());
    }

    pub(crate) fn processed(&self, took: Duration) {
        self.tally.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.processed.record(took.as_secs_f64());
    }

    pub(crate) fn sent(&self, messages: usize, took: Duration) {
        self.sent.add(messages as u64);
        self.took.record(took.as_secs_f64());
    }

    pub(crate) fn committed(&self) {
        self.commits.add(1);
    }

    pub(crate) fn duplicate(&self) {
        self.duplicates.add(1);
    }

    pub(crate) fn retried(&self, error: &str) {
        self.tally.failed(error);
        self.retries.add(1);
    }

    pub(crate) fn dead(&self, error: &str) {
        self.tally.failed(error);
        self.dead_letters.add(1);
    }

    pub(crate) fn lag(&self, waiting: u64) {
        self.lag.record(waiting);
    }
}

fn counter(meter: &Meter, name: &'static str, about: &'static str) -> Counter<u64> {
    meter.u64_counter(name).with_description(about).build()
}

fn seconds(meter: &Meter, name: &'static str, about: &'static str) -> Histogram<f64> {
    meter.f64_histogram(name).with_unit("s").with_boundaries(BOUNDS.to_vec()).with_description(about).build()
}
