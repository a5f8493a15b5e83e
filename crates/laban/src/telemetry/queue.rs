//! Spans on their way out: written to bytes as they end, gathered in batches, and exported by a task of its own.
//!
//! The SDK's own batch processor would do, but it does not tell how many spans it drops, and keeps each as it is until it
//! leaves (see [`otlp`]).

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::Notify;

use super::env;
use super::exporters::now_and_then;
use super::otlp::{self, Batch};
use super::transport::Transport;

/// How many spans went where.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    exported: AtomicU64,
    queue_full: AtomicU64,
    export_failed: AtomicU64,
}

impl SpanCounts {
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }
    pub(crate) fn queue_full(&self) -> u64 {
        self.queue_full.load(Ordering::Relaxed)
    }
    pub(crate) fn export_failed(&self) -> u64 {
        self.export_failed.load(Ordering::Relaxed)
    }
    pub(crate) fn lost(&self) -> u64 {
        self.queue_full() + self.export_failed()
    }
}

/// Gathers finished spans for the exporting task.
#[derive(Debug)]
pub(super) struct QueueProcessor(Arc<Shared>);

/// What the processor and the exporting task share.
#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Spans that wait, so that a full queue costs no lock.
    held: AtomicUsize,
    notify: Notify,
    /// Who waits for everything gathered so far to be exported.
    flushes: Mutex<Vec<blocking::Sender<()>>>,
    stop: AtomicBool,
    counts: Arc<SpanCounts>,
    sizes: Sizes,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Batches that are full, oldest first.
    full: std::collections::VecDeque<Batch>,
    /// The one that is being filled.
    next: Batch,
}

/// Sizes from `OTEL_BSP_*`. The queue is larger than the specification's 2,048: a burst of a few thousand flows would
/// overrun that, and room costs nothing until it is used.
#[derive(Debug)]
struct Sizes {
    queue: usize,
    batch: usize,
    delay: Duration,
}

impl Sizes {
    fn from_env() -> Self {
        let number = |name: &str, default: usize| {
            env(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(default)
        };
        let queue = number("OTEL_BSP_MAX_QUEUE_SIZE", 16_384);
        Self {
            queue,
            batch: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512).min(queue),
            delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 5_000) as u64),
        }
    }
}

impl QueueProcessor {
    /// Starts the exporting task on the present runtime.
    pub(super) fn start(transport: impl Transport, resource: &Resource, counts: Arc<SpanCounts>) -> Self {
        Self::with_sizes(transport, resource, counts, Sizes::from_env())
    }

    fn with_sizes(
        transport: impl Transport,
        resource: &Resource,
        counts: Arc<SpanCounts>,
        sizes: Sizes,
    ) -> Self {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            held: AtomicUsize::new(0),
            notify: Notify::new(),
            flushes: Mutex::default(),
            stop: AtomicBool::new(false),
            counts,
            sizes,
        });
        tokio::spawn(export(transport, otlp::resource(resource), Arc::clone(&shared)));
        Self(shared)
    }

    fn flush(&self, timeout: Duration) -> OTelSdkResult {
        let (done, wait) = blocking::channel();
        if let Ok(mut flushes) = self.0.flushes.lock() {
            flushes.push(done);
        }
        self.0.notify.notify_one();
        match wait.recv_timeout(timeout) {
            // A closed channel is a task that has ended, and it exports everything before it does.
            Ok(()) | Err(blocking::RecvTimeoutError::Disconnected) => Ok(()),
            Err(blocking::RecvTimeoutError::Timeout) => Err(OTelSdkError::Timeout(timeout)),
        }
    }
}

impl SpanProcessor for QueueProcessor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.add(&span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush(Duration::from_secs(5))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.stop.store(true, Ordering::Release);
        self.flush(timeout)
    }
}

impl Shared {
    fn add(&self, span: &SpanData) {
        thread_local! {
            static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        if self.held.load(Ordering::Relaxed) >= self.sizes.queue {
            self.counts.queue_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let full = WRITTEN.with_borrow_mut(|written| {
            written.clear();
            otlp::span(span, written);
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.next.add(&span.instrumentation_scope, written);
            self.held.fetch_add(1, Ordering::Relaxed);
            let full = waiting.next.len() >= self.sizes.batch;
            if full {
                let next = waiting.next.next();
                let batch = std::mem::replace(&mut waiting.next, next);
                waiting.full.push_back(batch);
            }
            full
        });
        if full {
            self.notify.notify_one();
        }
    }

    /// The oldest batch, full or not.
    fn take(&self) -> Option<Batch> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = waiting.full.pop_front().unwrap_or_else(|| std::mem::take(&mut waiting.next));
        self.held.fetch_sub(batch.len(), Ordering::Relaxed);
        (batch.len() > 0).then_some(batch)
    }
}

/// Exports what has been gathered whenever a batch is full, or the time is up, or somebody waits for it.
async fn export(transport: impl Transport, resource: Vec<u8>, shared: Arc<Shared>) {
    let told = Mutex::default();
    loop {
        let _ = tokio::time::timeout(shared.sizes.delay, shared.notify.notified()).await;
        let stop = shared.stop.load(Ordering::Acquire);
        // Taken before the queue is emptied: all that was queued before a flush began is then in it.
        let flushes = shared.flushes.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
        while let Some(batch) = shared.take() {
            let spans = batch.len() as u64;
            let counts = &shared.counts;
            let (lost, error) = match transport.send(batch.request(&resource)).await {
                Ok(0) => (0, None),
                Ok(rejected) => {
                    (rejected.min(spans), Some(format!("the collector refused {rejected} spans")))
                }
                Err(error) => (spans, Some(error)),
            };
            counts.exported.fetch_add(spans - lost, Ordering::Relaxed);
            counts.export_failed.fetch_add(lost, Ordering::Relaxed);
            if let Some(error) = error
                && now_and_then(&told)
            {
                let lost = counts.lost();
                tracing::warn!(
                    %error, lost,
                    "spans are not delivered (OTEL_EXPORTER_OTLP_ENDPOINT); OTEL_TRACES_EXPORTER=none if none should be"
                );
            }
        }
        for flush in flushes {
            let _ = flush.send(());
        }
        if stop {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use prost::Message as _;

    /// A collector that takes a batch only when it is let, and counts.
    struct Gate {
        open: Arc<tokio::sync::Semaphore>,
        taken: Arc<AtomicU64>,
    }

    impl Transport for Gate {
        async fn send(&self, request: Vec<u8>) -> Result<u64, String> {
            self.open.acquire().await.map_err(|e| e.to_string())?.forget();
            let request = ExportTraceServiceRequest::decode(&*request).map_err(|e| e.to_string())?;
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            let spans: usize = scopes.map(|scope| scope.spans.len()).sum();
            self.taken.fetch_add(spans as u64, Ordering::Relaxed);
            Ok(0)
        }
    }

    fn start(gate: Gate, counts: &Arc<SpanCounts>) -> QueueProcessor {
        let sizes = Sizes { queue: 8, batch: 4, delay: Duration::from_secs(3600) };
        QueueProcessor::with_sizes(gate, &Resource::builder_empty().build(), Arc::clone(counts), sizes)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_does_not_fit_is_counted_and_the_rest_arrives() {
        let (open, taken) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::<AtomicU64>::default());
        let counts = Arc::new(SpanCounts::default());
        let processor = start(Gate { open: Arc::clone(&open), taken: Arc::clone(&taken) }, &counts);
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        for _ in 0..100 {
            drop(tracer.start("span"));
        }
        // The exporter stands still with at most one batch in hand: 8 queued, 4 in hand, the rest lost.
        assert!(counts.queue_full() >= 100 - 12, "{counts:?}");
        open.add_permits(100);
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown()).await.unwrap();
        assert!(flushed.is_ok(), "{flushed:?}");
        assert_eq!(counts.exported() + counts.queue_full(), 100);
        assert_eq!(counts.exported(), taken.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_failed_export_is_counted_as_lost() {
        let open = Arc::new(tokio::sync::Semaphore::new(0));
        open.close();
        let counts = Arc::new(SpanCounts::default());
        let processor = start(Gate { open, taken: Arc::default() }, &counts);
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        drop(provider.tracer("test").start("span"));
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush()).await.unwrap();
        assert!(flushed.is_ok());
        assert_eq!((counts.export_failed(), counts.exported()), (1, 0));
    }
}
