//! Attempts that came to nothing, as records.

use std::time::Duration;

use laban_wire::{DeadReason, Reaction, Retrying};
use opentelemetry::Context;
use time::OffsetDateTime;

use super::commit::{Commit, Committed};
use super::handling::{Handling, Task};
use super::known::Known;
use super::letters::{self, Letter};
use super::progress::Progress;
use crate::telemetry::Ending;

impl Handling {
    /// Records a failed attempt and asks for another delivery, or gives up.
    pub(super) async fn fail(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        error: String,
        reaction: Reaction,
        context: &Context,
    ) {
        let attempt = reaction.attempt;
        // A redrive starts the count again; and what vanished may never have run, and has a limit of its own.
        let forgiven = match known.progress(&task.identity) {
            Progress::Tried { forgiven, vanished, .. } => forgiven + vanished.noted,
            Progress::Done | Progress::Dead { .. } => 0,
        };
        let Some(delay) = self.definition.retry.delay_after(attempt - forgiven) else {
            let letter =
                Letter { reason: DeadReason::Exhausted, error, attempts: attempt, took: reaction.handle_ms };
            return self.bury(task, known, letter, context).await;
        };
        Ending::Retrying(&error).end(context);
        tracing::warn!(
            service = %self.core.service, handler = %self.handler, flow = %task.flow(), attempt,
            delay_ms = delay.as_millis() as u64, %error, "attempt failed; will be retried"
        );
        self.metrics.retried(&error);
        let next_at = OffsetDateTime::now_utc() + delay;
        let body = Retrying { attempt, error: error.clone(), vanished: false, next_at };
        if !self.definition.fenced || self.note_attempt(task, known, body, reaction, context).await {
            task.delivery.answers.again_in(delay, &error).await;
        } else {
            self.duplicate(task, known).await;
        }
    }

    /// Records that an earlier attempt vanished. False when it turns out that it did not.
    pub(super) async fn note_vanished(
        &self,
        task: &Task<'_>,
        known: &mut Known,
        attempts: u32,
        vanished: u32,
    ) -> bool {
        let attempt = attempts + 1;
        let error = "an earlier delivery ended without a word: its process was killed or hung".to_owned();
        tracing::warn!(
            service = %self.core.service, handler = %self.handler, flow = %task.flow(), attempt,
            vanished = vanished + 1, "{error}"
        );
        self.metrics.retried(&error);
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
        let Progress::Tried { vanished, forgiven, redrive, .. } = known.progress(&task.identity) else {
            return false;
        };
        let vanished = if body.vanished { vanished.noted() } else { vanished.answered() };
        let becomes = Progress::Tried { attempts: body.attempt, vanished, forgiven, redrive };
        let draft = self.core.drafting.retrying(task.flow(), &letters::shortened(body), reaction, context);
        let commit =
            Commit { redrive: task.redrive, ..Commit::of_one(task.flow(), &task.identity, draft, becomes) };
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
    pub(super) async fn duplicate(&self, task: &Task<'_>, known: &Known) {
        Ending::Duplicate.end(&self.span(task, task.delivery.delivered));
        self.metrics.duplicate();
        task.delivery.answers.ack(known.settled_before(&task.identity)).await;
    }
}
