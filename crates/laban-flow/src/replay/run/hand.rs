//! One message handed to one handler, until there is an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use laban_wire::{ReplayRequest, Replayed, ServiceName};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::Touched;
use super::asking::{Asking, Silence};

/// A service that has never answered is asked for so long, and no longer: it is not there, or cannot be asked.
const NEVER: Duration = Duration::from_secs(3);
/// How often a service that is not there is asked.
const EVERY: Duration = Duration::from_millis(250);
/// So many times nobody answers before a message is left: each may have ended the instance that it was handed to.
const SILENCES: u32 = 4;
/// However long a service says that one should wait.
const LONGEST: Duration = Duration::from_secs(600);

/// A message for a handler.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) handler: usize,
    pub(super) stream: Arc<str>,
    pub(super) seq: u64,
    pub(super) at: OffsetDateTime,
}

/// What came of a job.
pub(super) struct Handed {
    pub(super) job: Job,
    pub(super) asked: Asked,
    /// Attempts that failed before that.
    pub(super) failed: u64,
}

pub(super) enum Asked {
    Said(Replayed),
    /// Whoever was asked fell silent, each time.
    Unanswered,
    /// It was to be asked again later, and the run has ended.
    Left,
    /// Nobody serves the handler.
    Nobody,
}

/// Hands messages over.
pub(super) struct Hands<'a> {
    handlers: Vec<Handler>,
    asking: &'a Asking,
    patience: Duration,
    stopped: watch::Receiver<bool>,
}

struct Handler {
    subject: String,
    /// Whether it has ever answered.
    serves: AtomicBool,
}

impl<'a> Hands<'a> {
    pub(super) fn new(
        service: &ServiceName,
        touched: &[Touched],
        asking: &'a Asking,
        patience: Duration,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let handler = |one: &Touched| Handler {
            subject: ReplayRequest::subject(service, &one.handler),
            serves: AtomicBool::new(false),
        };
        Self { handlers: touched.iter().map(handler).collect(), asking, patience, stopped }
    }

    pub(super) async fn hand(&self, job: Job) -> Handed {
        let mut failed = 0;
        let asked = self.until_answered(&job, &mut failed).await;
        Handed { job, asked, failed }
    }

    async fn until_answered(&self, job: &Job, failed: &mut u64) -> Asked {
        let handler = &self.handlers[job.handler];
        let mut request = ReplayRequest { stream: job.stream.to_string(), seq: job.seq, attempt: 1 };
        let mut silences = 0;
        let mut nobody_since = None;
        loop {
            let answer = self.asking.ask(&handler.subject, &request, self.patience).await;
            if !matches!(answer, Err(Silence::Nobody)) {
                nobody_since = None;
            }
            let wait = match answer {
                Ok(Replayed::Retrying { again_in_ms, .. }) => {
                    handler.serves.store(true, Ordering::Relaxed);
                    *failed += 1;
                    request.attempt += 1;
                    Duration::from_millis(again_in_ms).min(LONGEST)
                }
                Ok(Replayed::Later { again_in_ms, .. }) => {
                    handler.serves.store(true, Ordering::Relaxed);
                    Duration::from_millis(again_in_ms).min(LONGEST)
                }
                Ok(replayed) => {
                    handler.serves.store(true, Ordering::Relaxed);
                    return Asked::Said(replayed);
                }
                // Asking again is safe: what took effect is absorbed.
                Err(Silence::Silent) => {
                    silences += u32::from(self.asking.is_connected());
                    if silences >= SILENCES {
                        return Asked::Unanswered;
                    }
                    EVERY
                }
                Err(Silence::Nobody) => {
                    let since = *nobody_since.get_or_insert_with(Instant::now);
                    let served = handler.serves.load(Ordering::Relaxed);
                    if since.elapsed() > if served { self.patience } else { NEVER.min(self.patience) } {
                        return Asked::Nobody;
                    }
                    EVERY
                }
            };
            let mut stopped = self.stopped.clone();
            let left = tokio::time::timeout(wait, stopped.wait_for(|stopped| *stopped)).await;
            if left.is_ok() {
                return Asked::Left;
            }
        }
    }
}
