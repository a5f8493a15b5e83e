//! One run of a handler, and what becomes of its outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use laban_wire::{DeadReason, Millis, Reaction, error_chain};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;

use super::commit::{Commit, Committed, Refused};
use super::delivery::Settled;
use super::faults::point;
use super::handling::{Handling, Step, Task};
use super::known::Known;
use super::letters::Letter;
use super::outcome::Written;
use super::progress::Progress;
use crate::extract::Call;
use crate::outcome::{End, Outgoing};
use crate::telemetry::Ending;

impl Handling {
    /// Runs the handler once and writes what came of it.
    pub(super) async fn attempt(&self, task: &Task<'_>, known: &mut Known) -> Step {
        let failed = self.attempts(task, known);
        let attempt = failed + 1;
        let context = self.span(task, attempt);
        let call = Call {
            input: Arc::clone(&task.message),
            ids_from: task.ids_from,
            attempt,
            states: Arc::clone(&self.core.states),
            records: known.records.clone().unwrap_or_default(),
            service: self.core.service.clone(),
            handler: Arc::clone(&self.handler),
        };
        let run = self
            .definition
            .version_known(&task.message)
            .and_then(|()| self.definition.run.run(call).map_err(|error| error_chain(error.as_ref())));
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                let letter = Letter {
                    reason: DeadReason::Undecodable,
                    error,
                    attempts: failed,
                    took: Millis::default(),
                };
                Box::pin(self.bury(task, known, letter, &context)).await;
                return Step::Finished;
            }
        };
        point!(BeforeHandler);
        let started = Instant::now();
        let limit = self.definition.timeout;
        let end = match tokio::time::timeout(limit, run.with_context(context.clone())).await {
            Ok(end) => end,
            Err(_) => End::Retry(format!("no outcome within {} ms", limit.as_millis()).into()),
        };
        let took = started.elapsed();
        point!(AfterHandler);
        self.metrics.processed(took);
        self.spans.ran(took, &context);
        let reaction = self.reaction(task.message.meta.id, attempt, task.delivery.waited, took);
        match end {
            End::Emit(outbox) => match outbox.error {
                None => self.write(task, known, outbox.events, reaction, &context).await,
                Some(error) => {
                    let letter = Letter {
                        reason: DeadReason::Unwritable,
                        error,
                        attempts: attempt,
                        took: took.into(),
                    };
                    Box::pin(self.bury(task, known, letter, &context)).await;
                    Step::Finished
                }
            },
            End::Retry(error) => {
                let error = error_chain(error.as_ref());
                Box::pin(self.fail(task, known, error, reaction, &context)).await;
                Step::Finished
            }
            End::Reject(error) => {
                let error = error_chain(error.as_ref());
                let letter =
                    Letter { reason: DeadReason::Rejected, error, attempts: attempt, took: took.into() };
                Box::pin(self.bury(task, known, letter, &context)).await;
                Step::Finished
            }
        }
    }

    /// Records that there is nothing to do any more, unless that is known.
    pub(super) async fn let_go(&self, task: &Task<'_>) {
        let mut known = self.core.recall(task.flow(), true, false).await;
        while self.is_open(task, &known) {
            let attempt = self.attempts(task, &known) + 1;
            let reaction = self.reaction(task.identity.cause, attempt, task.delivery.waited, Duration::ZERO);
            let context = self.span(task, attempt);
            if let Step::Finished = self.write(task, &mut known, Vec::new(), reaction, &context).await {
                return self.core.memory.put(task.flow().clone(), known);
            }
        }
        self.duplicate(task, &known).await;
        self.core.memory.put(task.flow().clone(), known);
    }

    /// Commits what the handler emitted.
    async fn write(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        events: Vec<Outgoing>,
        reaction: Reaction,
        context: &Context,
    ) -> Step {
        let (attempts, ran) = (reaction.attempt, reaction.handle_ms);
        let emits = !events.is_empty();
        let (drafts, written) = Written::of(self, task, events, reaction, context);
        let started = Instant::now();
        let sent = drafts.len();
        let commit = Commit {
            flow: task.flow().clone(),
            identity: task.identity.clone(),
            drafts,
            in_flow: written.in_flow,
            becomes: Progress::Done,
            reads_flow: self.definition.reads_flow,
            redrive: task.redrive,
        };
        #[cfg(feature = "faults")]
        if super::faults::acks_before_commit() {
            task.delivery.answers.ack(Settled::Emitted).await;
        }
        let result = self.commit(commit, known).await;
        self.metrics.sent(sent, started.elapsed());
        match result {
            Ok(Committed::Now { .. }) => {
                written.end_spans(None);
                let (ending, settled) = match emits {
                    true => (Ending::Emitted, Settled::Emitted),
                    false => (Ending::Handled, Settled::Handled),
                };
                ending.end(context);
                self.metrics.committed();
                task.delivery.answers.ack(settled).await;
                Step::Finished
            }
            Ok(Committed::Before) => {
                written.end_spans(Some("another was first"));
                Ending::Duplicate.end(context);
                self.metrics.duplicate();
                task.delivery.answers.ack(known.settled_before(&task.identity)).await;
                Step::Finished
            }
            Ok(Committed::Stale) => {
                written.end_spans(Some("the flow's state changed"));
                Ending::Left("the flow's state changed; the handler runs again").end(context);
                Step::Again
            }
            Err(refused) => {
                let error = refused.to_string();
                written.end_spans(Some(&error));
                let letter = Letter { reason: DeadReason::Unwritable, error, attempts, took: ran };
                Box::pin(self.bury(task, known, letter, context)).await;
                Step::Finished
            }
        }
    }

    /// Commits under the fence, unless the handler has given it up.
    pub(super) async fn commit(&self, commit: Commit, known: &mut Known) -> Result<Committed, Refused> {
        if self.definition.fenced {
            self.core.committer.commit(&commit, known).await
        } else {
            Box::pin(self.core.committer.append_open(commit.drafts, &self.handler)).await
        }
    }
}
