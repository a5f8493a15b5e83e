//! One handler at one event type: what happens to a delivery.

use std::sync::Arc;
use std::time::Duration;

use laban_wire::{DeadReason, EventId, EventType, FlowId, InvalidMessage, Message, Millis, Reaction};
use opentelemetry::Context;
use tokio::sync::Semaphore;

use super::core::Core;
use super::delivery::Delivery;
use super::known::{Identity, Known};
use super::letters::{self, Letter};
use super::progress::Progress;
use super::turns::Turn;
use crate::definition::Definition;
use crate::telemetry::{HandlerMetrics, HandlerSpans, Received, Trace, propagation};

/// So many runs may begin and vanish (their process killed, or hung past every sign of life) before the event is given up.
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
    pub(super) trace: Trace,
    /// The redrive that asks for it, by its sequence; 0 when it is the event itself, or a timer.
    pub(super) redrive: u64,
    /// What the ids of outputs are derived from: the event's id, unless what took effect is done again on purpose.
    pub(super) ids_from: EventId,
}

impl<'a> Task<'a> {
    pub(super) fn new(handler: &Arc<str>, delivery: &'a Delivery, message: Message, trace: Trace) -> Self {
        let cause = message.meta.id;
        let identity = Identity { cause, handler: Arc::clone(handler) };
        Self { delivery, message: Arc::new(message), identity, trace, redrive: 0, ids_from: cause }
    }

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
        let _alive = self.core.vigil.watch(&delivery.answers);
        if let Some(turn) = &mut turn {
            turn.come().await;
        }
        match delivery.read(&self.event) {
            Ok(message) => {
                let published_in = propagation::extract(message.trace, &delivery.stored.headers);
                let task = Task::new(&self.handler, &delivery, message, Trace::Continued(published_in));
                self.react(&task, delivery.delivered > 1).await;
            }
            Err(invalid) => Box::pin(self.unreadable(&delivery, &invalid)).await,
        }
    }

    /// Does what the task asks for, unless it has been done.
    pub(super) async fn react(&self, task: &Task<'_>, redelivered: bool) {
        // Only closed when the process ends.
        let _running = self.running.acquire().await;
        let mut known = if self.definition.fenced {
            self.core.recall(task.flow(), redelivered, self.definition.reads_flow).await
        } else {
            // Without a fence there is no memory; the broker's count is all there is.
            Known::nothing(false)
        };
        self.attempt_until_settled(task, redelivered, &mut known).await;
        if self.definition.fenced {
            self.core.memory.put(task.flow().clone(), known);
        }
    }

    /// Does what the task asks for, unless it has been done, which only the home stream can tell.
    pub(super) async fn react_late(&self, task: &Task<'_>) {
        let _running = self.running.acquire().await;
        let mut known = self.core.recall(task.flow(), true, false).await;
        self.attempt_until_settled(task, task.delivery.delivered > 1, &mut known).await;
        self.core.memory.put(task.flow().clone(), known);
    }

    pub(super) async fn attempt_until_settled(&self, task: &Task<'_>, redelivered: bool, known: &mut Known) {
        let mut redelivered = self.definition.fenced && redelivered;
        loop {
            let Progress::Tried { attempts, vanished, forgiven, redrive } = known.progress(&task.identity)
            else {
                return Box::pin(self.duplicate(task, known)).await;
            };
            if redrive != task.redrive {
                return Box::pin(self.duplicate(task, known)).await;
            }
            // More deliveries than recorded attempts: one ended without a word. Nothing after a note: the run that it began
            // has.
            let mut _alone = None;
            let unexplained = std::mem::take(&mut redelivered)
                && (vanished.open || task.delivery.delivered - 1 > attempts - forgiven);
            if unexplained {
                let begun = vanished.begun + u32::from(vanished.open);
                if begun >= MAX_VANISHED {
                    let context = self.span(task, attempts);
                    let letter = Letter::vanishing(begun, attempts + 1);
                    return Box::pin(self.bury(task, known, letter, &context)).await;
                }
                if vanished.open {
                    _alone = self.core.suspects.acquire().await.ok();
                }
                // Whoever reads this note knows that the run below has begun.
                if !Box::pin(self.note_vanished(task, known, attempts, vanished.noted)).await {
                    continue;
                }
            }
            if let Step::Finished = self.attempt(task, known).await {
                return;
            }
        }
    }

    /// Whether the task's reaction is open, and for this task: what a redrive has opened is in the hands of that redrive's own
    /// delivery. No other redrive of the same dead letter, nor the event once more, runs beside it.
    pub(super) fn is_open(&self, task: &Task<'_>, known: &Known) -> bool {
        let progress = known.progress(&task.identity);
        !progress.is_settled() && progress.redrive() == task.redrive
    }

    /// How many attempts were made before this one.
    pub(super) fn attempts(&self, task: &Task<'_>, known: &Known) -> u32 {
        match known.progress(&task.identity) {
            Progress::Tried { attempts, .. } if self.definition.fenced => attempts,
            _ => task.delivery.delivered - 1,
        }
    }

    /// A message that is not an event becomes a dead letter of the flow that its subject names.
    pub(super) async fn unreadable(&self, delivery: &Delivery, invalid: &InvalidMessage) {
        let Some(message) = letters::stand_in(delivery, &self.event) else {
            // Nothing to file it under. It stays in its stream; say where.
            tracing::error!(
                service = %self.core.service, handler = %self.handler, stream = %delivery.stored.stream,
                seq = delivery.stored.seq, error = %invalid, "unreadable message skipped"
            );
            return delivery.answers.give_up("unreadable", &invalid.to_string()).await;
        };
        let published_in = propagation::extract(None, &delivery.stored.headers);
        let task = Task::new(&self.handler, delivery, message, Trace::Continued(published_in));
        let mut known = self.core.recall(task.flow(), delivery.delivered > 1, false).await;
        let letter = Letter {
            reason: DeadReason::Unreadable,
            error: invalid.to_string(),
            attempts: 0,
            took: Millis::default(),
        };
        let context = self.span(&task, 0);
        self.bury(&task, &mut known, letter, &context).await;
        self.core.memory.put(task.flow().clone(), known);
    }

    /// Begins the span of an attempt.
    pub(super) fn span(&self, task: &Task<'_>, attempt: u32) -> Context {
        let received = Received { message: &task.message, attempt, waited: task.delivery.waited };
        self.spans.process(&task.trace, &received)
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
            handler: Arc::clone(&self.handler),
            attempt,
            queue_ms: waited.into(),
            handle_ms: took.into(),
        }
    }
}
