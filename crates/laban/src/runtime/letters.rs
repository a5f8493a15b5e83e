//! Dead letters: events that a handler gave up on, recorded as a fact of its service.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use laban_wire::{
    Dead, DeadInput, DeadReason, EventType, FlowId, Message, Meta, Millis, Payload, Reaction, Retrying,
    Subject,
};
use opentelemetry::Context;

use super::commit::{Commit, Committed};
use super::delivery::Delivery;
use super::drafts::fingerprint;
use super::handling::{Handling, Task};
use super::known::Known;
use super::progress::Progress;
use crate::telemetry::Ending;

/// Longer error texts are cut: a record must fit, whatever a handler says.
const MAX_ERROR_BYTES: usize = 4096;

/// Why an event is given up.
pub(super) struct Letter {
    pub(super) reason: DeadReason,
    pub(super) error: String,
    pub(super) attempts: u32,
    /// How long the last attempt ran.
    pub(super) took: Millis,
}

impl Letter {
    /// `begun` runs are known to have begun and vanished; `attempts` were made in all.
    pub(super) fn vanishing(begun: u32, attempts: u32) -> Self {
        let error = format!(
            "{begun} attempts began and ended without a word: the handler kills its process, or hangs past every sign of life"
        );
        Self { reason: DeadReason::Vanishing, error, attempts, took: Millis::default() }
    }
}

impl Handling {
    /// Records a dead letter, once, and takes the event off the consumer.
    pub(super) async fn bury(&self, task: &Task<'_>, known: &mut Known, letter: Letter, context: &Context) {
        let Letter { reason, error, attempts, took } = letter;
        let error = cut(error);
        Ending::Dead(&error).end(context);
        tracing::error!(
            service = %self.core.service, handler = %self.handler, flow = %task.flow(), event = %self.event,
            reason = reason.as_str(), attempts, %error, "dead letter"
        );
        self.metrics.dead(&error);
        let stored = &task.delivery.stored;
        let said = error.clone();
        let body = Dead {
            reason,
            fingerprint: fingerprint(self.core.service.as_str(), &self.handler, &error),
            error,
            attempts,
            again: (task.ids_from != task.identity.cause).then_some(task.ids_from),
            input: DeadInput {
                stream: stored.stream.to_string(),
                seq: stored.seq,
                subject: stored.subject.clone(),
                headers: headers(task.delivery),
                payload: Some(Payload::of(&stored.payload)),
            },
        };
        let (cause, waited) = (task.identity.cause, task.delivery.waited);
        let reaction =
            Reaction { handle_ms: took, ..self.reaction(cause, attempts.max(1), waited, Duration::ZERO) };
        let limit = self.core.committer.link.client().max_payload();
        let draft = self.core.drafting.dead(task.flow(), body, reaction, context, limit);
        let becomes = Progress::dead(attempts);
        let commit =
            Commit { redrive: task.redrive, ..Commit::of_one(task.flow(), &task.identity, draft, becomes) };
        match self.commit(commit, known).await {
            Ok(Committed::Now { .. }) => task.delivery.answers.give_up(reason.as_str(), &said).await,
            Ok(Committed::Before | Committed::Stale) => {
                self.metrics.duplicate();
                task.delivery.answers.ack(known.settled_before(&task.identity)).await;
            }
            Err(refused) => {
                // Nothing is lost: it stays on the consumer, to be tried again when somebody has raised the limit.
                tracing::error!(service = %self.core.service, handler = %self.handler, %refused, "dead letter not written");
                let reason = format!("its dead letter cannot be written: {refused}");
                task.delivery.answers.not_now(Duration::from_secs(60), &reason).await;
            }
        }
    }
}

/// An event in place of a message that is none, so that its dead letter has a flow: the one that its subject names, or
/// would name if it were escaped.
pub(super) fn stand_in(delivery: &Delivery, event: &EventType) -> Option<Message> {
    let token = delivery.stored.subject.rsplit('.').next()?;
    let flow = FlowId::from_token(token).or_else(|_| FlowId::new(token)).ok()?;
    Some(Message {
        stream: delivery.stored.stream.clone(),
        seq: delivery.stored.seq,
        at: delivery.stored.at,
        subject: Subject::new(event.clone(), flow),
        meta: Meta { id: delivery.stored_id(), version: None, reaction: None },
        trace: None,
        payload: Bytes::new(),
    })
}

/// A note of a failed attempt whose error fits.
pub(super) fn shortened(body: Retrying) -> Retrying {
    Retrying { error: cut(body.error), ..body }
}

fn cut(mut error: String) -> String {
    if error.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|at| error.is_char_boundary(*at)).unwrap_or(0);
        error.truncate(end);
        error.push('…');
    }
    error
}

fn headers(delivery: &Delivery) -> BTreeMap<String, Vec<String>> {
    let all = delivery.stored.headers.iter();
    all.map(|(name, values)| {
        (name.to_string(), values.iter().map(|value| value.as_str().to_owned()).collect())
    })
    .collect()
}
