//! One handler at one event type: what happens to a delivery.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use laban_wire::{
    DeadReason, EventId, EventType, FlowId, InvalidMessage, Message, Reaction, Retrying, error_chain,
};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::commit::{Commit, Committed};
use super::core::Core;
use super::delivery::Delivery;
use super::letters::{self, Letter};
use super::memory::{Identity, Known, Progress};
use super::outcome::Written;
use super::turns::Turn;
use crate::definition::Definition;
use crate::extract::Call;
use crate::outcome::End;
use crate::telemetry::{Ending, HandlerMetrics, HandlerSpans, Received, propagation};

/// So many attempts may vanish (their process killed, or hung past every sign of life) before the event is given up.
const MAX_VANISHED: u32 = 4;

pub(crate) struct Handling {
    pub(crate) core: Arc<Core>,
    pub(crate) definition: Definition,
    pub(crate) handler: Arc<str>,
    pub(crate) event: EventType,
    pub(crate) spans: HandlerSpans,
    pub(crate) metrics: HandlerMetrics,
    /// The handler's concurrency, shared by its event types.
    pub(crate) running: Arc<Semaphore>,
}

/// What is the same for all attempts at a delivery.
pub(super) struct Task<'a> {
    pub(super) delivery: &'a Delivery,
    pub(super) message: Arc<Message>,
    pub(super) identity: Identity,
    /// The context that the event was published in.
    pub(super) parent: Context,
}

impl Task<'_> {
    pub(super) fn flow(&self) -> &FlowId {
        &self.message.subject.flow
    }
}

/// Whether there is more to do for a delivery.
pub(super) enum Step {
    Finished,
    /// The flow's state changed under the handler: run it again on the newer one.
    Again,
}

impl Handling {
    /// Works on a delivery until it is settled, telling the broker now and then that it is still at work.
    pub(crate) async fn settle(self: Arc<Self>, delivery: Delivery, mut turn: Option<Turn>) {
        self.metrics.received(delivery.waited);
        let work = async {
            if let Some(turn) = &mut turn {
                turn.come().await;
            }
            // Only closed when the process ends.
            let _running = self.running.acquire().await;
            match delivery.read() {
                Ok(message) => self.react(&delivery, Arc::new(message)).await,
                Err(invalid) => self.unreadable(&delivery, &invalid).await,
            }
        };
        let mut work = std::pin::pin!(work.fuse());
        loop {
            tokio::select! {
                () = &mut work => return,
                () = tokio::time::sleep(self.core.config.ack_wait / 3) => delivery.in_progress().await,
            }
        }
    }

    async fn react(&self, delivery: &Delivery, message: Arc<Message>) {
        let task = Task {
            identity: Identity { cause: message.meta.id, handler: Arc::clone(&self.handler) },
            parent: propagation::extract(Some(&delivery.stored.headers)),
            message,
            delivery,
        };
        let redelivered = delivery.delivered > 1;
        let mut known = if self.definition.fenced {
            self.core.recall(task.flow(), redelivered, self.definition.reads_flow).await
        } else {
            // Without a fence there is no memory; the broker's count is all there is.
            Known::nothing(false)
        };
        let attempted = delivery.delivered;
        let mut vanished_before = self.definition.fenced && redelivered;
        loop {
            let Progress::Tried { attempts, vanished } = known.progress(&task.identity) else {
                self.duplicate(&task).await;
                break;
            };
            let attempts = if self.definition.fenced { attempts } else { attempted - 1 };
            // More deliveries than recorded attempts: one ended without a word.
            let _alone = if std::mem::take(&mut vanished_before) && attempted - 1 > attempts {
                if vanished >= MAX_VANISHED {
                    let context = self.span(&task, attempts);
                    self.bury(&task, &mut known, Letter::vanishing(vanished), &context).await;
                    break;
                }
                let alone = if vanished > 0 { self.core.suspects.acquire().await.ok() } else { None };
                if !self.note_vanished(&task, &mut known, attempts, vanished).await {
                    continue;
                }
                alone
            } else {
                None
            };
            if let Step::Finished = self.attempt(&task, &mut known).await {
                break;
            }
        }
        if self.definition.fenced {
            self.core.memory.put(task.flow().clone(), known);
        }
    }

    /// Runs the handler once and writes what came of it.
    async fn attempt(&self, task: &Task<'_>, known: &mut Known) -> Step {
        let failed = match known.progress(&task.identity) {
            Progress::Tried { attempts, .. } if self.definition.fenced => attempts,
            _ => task.delivery.delivered - 1,
        };
        let attempt = failed + 1;
        let context = self.span(task, attempt);
        let call = Call {
            input: Arc::clone(&task.message),
            attempt,
            states: Arc::clone(&self.core.states),
            records: known.records.clone().unwrap_or_default(),
            service: self.core.service.as_str().into(),
            handler: Arc::clone(&self.handler),
        };
        let run = self
            .version_known(&task.message)
            .and_then(|()| self.definition.run.run(call).map_err(|error| error_chain(error.as_ref())));
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                let letter = Letter { reason: DeadReason::Undecodable, error, attempts: failed };
                self.bury(task, known, letter, &context).await;
                return Step::Finished;
            }
        };
        let started = Instant::now();
        let limit = self.definition.timeout;
        let end = match tokio::time::timeout(limit, run.with_context(context.clone())).await {
            Ok(end) => end,
            Err(_) => End::Retry(format!("no outcome within {} ms", limit.as_millis()).into()),
        };
        let took = started.elapsed();
        self.metrics.processed(took);
        let reaction = self.reaction(task.message.meta.id, attempt, task.delivery.waited, took);
        match end {
            End::Emit(outbox) => match outbox.error {
                None => self.write(task, known, outbox.events, reaction, &context).await,
                Some(error) => {
                    let letter = Letter { reason: DeadReason::Unwritable, error, attempts: attempt };
                    self.bury(task, known, letter, &context).await;
                    Step::Finished
                }
            },
            End::Retry(error) => {
                let error = error_chain(error.as_ref());
                self.fail(task, known, error, reaction, &context).await;
                Step::Finished
            }
            End::Reject(error) => {
                let error = error_chain(error.as_ref());
                let letter = Letter { reason: DeadReason::Rejected, error, attempts: attempt };
                self.bury(task, known, letter, &context).await;
                Step::Finished
            }
        }
    }

    /// Commits what the handler emitted.
    async fn write(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        events: Vec<crate::outcome::Outgoing>,
        reaction: Reaction,
        context: &Context,
    ) -> Step {
        let attempts = reaction.attempt;
        let emits = !events.is_empty();
        let written = Written::of(self, task, events, reaction, context);
        let started = Instant::now();
        let sent = written.drafts.len();
        let result = self.commit(task, known, &written).await;
        self.metrics.sent(sent, started.elapsed());
        match result {
            Ok(Committed::Now { .. }) => {
                written.end_spans(None);
                if emits { Ending::Emitted } else { Ending::Handled }.end(context);
                self.metrics.committed();
                task.delivery.ack().await;
                Step::Finished
            }
            Ok(Committed::Before) => {
                written.end_spans(Some("another was first"));
                Ending::Duplicate.end(context);
                self.metrics.duplicate();
                task.delivery.ack().await;
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
                self.bury(task, known, Letter { reason: DeadReason::Unwritable, error, attempts }, context)
                    .await;
                Step::Finished
            }
        }
    }

    async fn commit(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        written: &Written,
    ) -> Result<Committed, super::commit::Refused> {
        if !self.definition.fenced {
            return self.core.committer.append_open(written.drafts.clone()).await;
        }
        let commit = Commit {
            flow: task.flow().clone(),
            identity: task.identity.clone(),
            drafts: written.drafts.clone(),
            in_flow: written.in_flow,
            becomes: Progress::Done,
            reads_flow: self.definition.reads_flow,
        };
        self.core.committer.commit(&commit, known).await
    }

    /// Records a failed attempt and asks for another delivery, or gives up.
    async fn fail(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        error: String,
        reaction: Reaction,
        context: &Context,
    ) {
        let attempt = reaction.attempt;
        let Some(delay) = self.definition.retry.delay_after(attempt) else {
            let letter = Letter { reason: DeadReason::Exhausted, error, attempts: attempt };
            return self.bury(task, known, letter, context).await;
        };
        Ending::Retrying(&error).end(context);
        tracing::warn!(
            service = %self.core.service, handler = %self.handler, flow = %task.flow(), attempt,
            delay_ms = delay.as_millis() as u64, %error, "attempt failed; will be retried"
        );
        self.metrics.retried();
        let body = Retrying { attempt, error, vanished: false, next_at: OffsetDateTime::now_utc() + delay };
        if !self.definition.fenced || self.note_attempt(task, known, body, reaction, context).await {
            task.delivery.again_in(delay).await;
        } else {
            self.duplicate(task).await;
        }
    }

    /// Records that an earlier attempt vanished. False when it turns out that it did not.
    async fn note_vanished(&self, task: &Task<'_>, known: &mut Known, attempts: u32, vanished: u32) -> bool {
        let attempt = attempts + 1;
        let error = "an earlier delivery ended without a word: its process was killed or hung".to_owned();
        tracing::warn!(
            service = %self.core.service, handler = %self.handler, flow = %task.flow(), attempt,
            vanished = vanished + 1, "{error}"
        );
        self.metrics.retried();
        let context = self.span(task, attempt);
        Ending::Retrying(&error).end(&context);
        let body = Retrying { attempt, error, vanished: true, next_at: OffsetDateTime::now_utc() };
        let reaction = self.reaction(task.message.meta.id, attempt, task.delivery.waited, Duration::ZERO);
        self.note_attempt(task, known, body, reaction, &context).await
    }

    /// Writes a `_retrying` record. False when the reaction has taken effect meanwhile.
    async fn note_attempt(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        body: Retrying,
        reaction: Reaction,
        context: &Context,
    ) -> bool {
        let vanished = match known.progress(&task.identity) {
            Progress::Tried { vanished, .. } => vanished + u32::from(body.vanished),
            Progress::Done => return false,
        };
        let becomes = Progress::Tried { attempts: body.attempt, vanished };
        let draft = self.core.drafting.retrying(task.flow(), &letters::shortened(body), reaction, context);
        let commit = Commit {
            flow: task.flow().clone(),
            identity: task.identity.clone(),
            drafts: vec![draft],
            in_flow: 1,
            becomes,
            reads_flow: false,
        };
        match self.core.committer.commit(&commit, known).await {
            Ok(Committed::Now { .. }) => true,
            Ok(Committed::Before | Committed::Stale) => false,
            Err(refused) => {
                // The note is lost, the event is not.
                tracing::error!(service = %self.core.service, handler = %self.handler, %refused, "attempt not recorded");
                true
            }
        }
    }

    /// The work was done before: by another instance, or before a crash.
    async fn duplicate(&self, task: &Task<'_>) {
        Ending::Duplicate.end(&self.span(task, task.delivery.delivered));
        self.metrics.duplicate();
        task.delivery.ack().await;
    }

    /// A message that is not an event becomes a dead letter of the flow that its subject names.
    async fn unreadable(&self, delivery: &Delivery, invalid: &InvalidMessage) {
        let Some(message) = letters::stand_in(delivery, &self.event) else {
            // Nothing to file it under. It stays in its stream; say where.
            tracing::error!(
                service = %self.core.service, handler = %self.handler, stream = delivery.stored.stream,
                seq = delivery.stored.seq, error = %invalid, "unreadable message skipped"
            );
            return delivery.give_up("unreadable").await;
        };
        let message = Arc::new(message);
        let task = Task {
            identity: Identity { cause: delivery.stored_id(), handler: Arc::clone(&self.handler) },
            parent: propagation::extract(Some(&delivery.stored.headers)),
            message,
            delivery,
        };
        let mut known = self.core.recall(task.flow(), delivery.delivered > 1, false).await;
        let letter = Letter { reason: DeadReason::Unreadable, error: invalid.to_string(), attempts: 0 };
        let context = self.span(&task, 0);
        self.bury(&task, &mut known, letter, &context).await;
        self.core.memory.put(task.flow().clone(), known);
    }

    /// Begins the span of an attempt.
    fn span(&self, task: &Task<'_>, attempt: u32) -> Context {
        let received = Received { message: &task.message, attempt, waited: task.delivery.waited };
        self.spans.process(&task.parent, &received)
    }

    fn version_known(&self, message: &Message) -> Result<(), String> {
        let event = &message.subject.event_type;
        let newest = self.definition.version_of(event).unwrap_or(1);
        match message.meta.version {
            Some(version) if version != newest => Err(format!(
                "{event} is of version {version}; handler `{}` knows version {newest}",
                self.handler
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn reaction(
        &self,
        cause: EventId,
        attempt: u32,
        waited: Duration,
        took: Duration,
    ) -> Reaction {
        Reaction {
            cause,
            on: self.event.clone(),
            handler: self.handler.to_string(),
            attempt,
            queue_ms: waited.into(),
            handle_ms: took.into(),
        }
    }
}
