//! Spans on their way out: a bounded queue that the hot path only ever tries to push to, and a task that exports.
//!
//! The SDK's own batch processor would do, but it does not tell how many spans it drops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc as blocking};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::{Notify, mpsc};

use super::env;
use super::exporters::now_and_then;

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

/// Queues finished spans for the exporting task.
#[derive(Debug)]
pub(super) struct QueueProcessor {
    spans: mpsc::Sender<SpanData>,
    wake: Arc<Wake>,
    counts: Arc<SpanCounts>,
    batch: usize,
}

#[derive(Debug, Default)]
struct Wake {
    notify: Notify,
    /// Who waits for everything queued so far to be exported.
    flushes: Mutex<Vec<blocking::Sender<()>>>,
    stop: AtomicBool,
}

/// Sizes from `OTEL_BSP_*`. The queue is larger than the specification's 2,048: a burst of a few thousand flows would
/// overrun that, and room costs nothing until it is used.
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
    pub(super) fn start<E: SpanExporter + 'static>(exporter: E, counts: Arc<SpanCounts>) -> Self {
        Self::with_sizes(exporter, counts, Sizes::from_env())
    }

    fn with_sizes<E: SpanExporter + 'static>(exporter: E, counts: Arc<SpanCounts>, sizes: Sizes) -> Self {
        let (spans, queue) = mpsc::channel(sizes.queue);
        let wake = Arc::new(Wake::default());
        let batch = sizes.batch;
        let task = Exporting { exporter, queue, wake: Arc::clone(&wake), counts: Arc::clone(&counts), sizes };
        tokio::spawn(task.run());
        Self { spans, wake, counts, batch }
    }

    fn flush(&self, timeout: Duration) -> OTelSdkResult {
        let (done, wait) = blocking::channel();
        if let Ok(mut flushes) = self.wake.flushes.lock() {
            flushes.push(done);
        }
        self.wake.notify.notify_one();
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
        if !span.span_context.is_sampled() {
            return;
        }
        if self.spans.try_send(span).is_err() {
            self.counts.queue_full.fetch_add(1, Ordering::Relaxed);
        }
        if self.spans.max_capacity() - self.spans.capacity() >= self.batch {
            self.wake.notify.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.flush(Duration::from_secs(5))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.wake.stop.store(true, Ordering::Release);
        self.flush(timeout)
    }
}

struct Exporting<E> {
    exporter: E,
    queue: mpsc::Receiver<SpanData>,
    wake: Arc<Wake>,
    counts: Arc<SpanCounts>,
    sizes: Sizes,
}

impl<E: SpanExporter> Exporting<E> {
    async fn run(mut self) {
        let told = Mutex::default();
        loop {
            let _ = tokio::time::timeout(self.sizes.delay, self.wake.notify.notified()).await;
            let stop = self.wake.stop.load(Ordering::Acquire);
            // Taken before the queue is emptied: all that was queued before a flush began is then in it.
            let flushes =
                self.wake.flushes.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
            while let Some(batch) = self.next_batch() {
                let spans = batch.len() as u64;
                match self.exporter.export(batch).await {
                    Ok(()) => _ = self.counts.exported.fetch_add(spans, Ordering::Relaxed),
                    Err(error) => {
                        self.counts.export_failed.fetch_add(spans, Ordering::Relaxed);
                        if now_and_then(&told) {
                            let lost = self.counts.lost();
                            tracing::warn!(
                                %error, lost,
                                "spans are not delivered (OTEL_EXPORTER_OTLP_ENDPOINT); OTEL_TRACES_EXPORTER=none if none should be"
                            );
                        }
                    }
                }
            }
            for flush in flushes {
                let _ = flush.send(());
            }
            if stop {
                let _ = self.exporter.shutdown();
                return;
            }
        }
    }

    fn next_batch(&mut self) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        while batch.len() < self.sizes.batch
            && let Ok(span) = self.queue.try_recv()
        {
            batch.push(span);
        }
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    /// An exporter that takes a batch only when it is let, and counts.
    #[derive(Debug)]
    struct Gate {
        open: Arc<tokio::sync::Semaphore>,
        taken: Arc<AtomicU64>,
    }

    impl SpanExporter for Gate {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let permit = self.open.acquire().await;
            permit.map_err(|e| OTelSdkError::InternalFailure(e.to_string()))?.forget();
            self.taken.fetch_add(batch.len() as u64, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_does_not_fit_is_counted_and_the_rest_arrives() {
        let (open, taken) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::<AtomicU64>::default());
        let counts = Arc::new(SpanCounts::default());
        let sizes = Sizes { queue: 8, batch: 4, delay: Duration::from_secs(3600) };
        let gate = Gate { open: Arc::clone(&open), taken: Arc::clone(&taken) };
        let processor = QueueProcessor::with_sizes(gate, Arc::clone(&counts), sizes);
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
        let sizes = Sizes { queue: 8, batch: 4, delay: Duration::from_secs(3600) };
        let processor =
            QueueProcessor::with_sizes(Gate { open, taken: Arc::default() }, Arc::clone(&counts), sizes);
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        drop(provider.tracer("test").start("span"));
        let flushed = tokio::task::spawn_blocking(move || provider.force_flush()).await.unwrap();
        assert!(flushed.is_ok());
        assert_eq!((counts.export_failed(), counts.exported()), (1, 0));
    }
}
