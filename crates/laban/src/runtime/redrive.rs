//! Redrives: a dead letter handed back to the one handler that gave up.
//!
//! A redrive is a record in the service's own home stream, written by an operator. It opens the reaction again; what the
//! handler then does is committed like any other outcome, once, and begins a new trace that is linked to the old one.

use std::sync::Arc;

use async_nats::HeaderMap;
use laban_wire::{Dead, EventType, Message, Reaction, Redrive, Stored};

use super::delivery::{Delivery, Settled};
use super::handling::{Handling, Task};
use super::not_now::NotNow;
use super::turns::Turn;
use crate::telemetry::{Trace, propagation};

/// The handlers that may be asked to try again.
pub(crate) struct Redriving {
    pub(crate) handlings: Vec<Arc<Handling>>,
    /// The type of the records that ask for it.
    pub(crate) redrive: EventType,
}

impl Redriving {
    /// Hands the dead letter that a redrive names to its handler.
    pub(crate) async fn settle(self: Arc<Self>, delivery: Delivery, mut turn: Option<Turn>) {
        let Some(any) = self.handlings.first() else { return };
        let _alive = any.core.vigil.watch(&delivery.answers);
        if let Some(turn) = &mut turn {
            turn.come().await;
        }
        if let Err(not_now) = self.redrive(&delivery).await {
            not_now.answer("redrive", &any.core.service, &delivery).await;
        }
    }

    async fn redrive(&self, delivery: &Delivery) -> Result<(), NotNow> {
        let record = delivery.read(&self.redrive).map_err(|error| error.to_string())?;
        let asked = record.meta.reaction;
        let asked = asked.ok_or_else(|| "its header names no cause, event type and handler".to_owned())?;
        let body: Redrive = serde_json::from_slice(&record.payload).map_err(|error| error.to_string())?;
        let handling = self.handler(&asked)?;
        let core = &handling.core;
        let flow = &record.subject.flow;

        let filter = format!("{}.{}.{}", core.service, laban_wire::DEAD, flow.token());
        let dead =
            core.committer.link.reader().leader_next(&core.committer.stream, &filter, body.dead_seq).await;
        let dead = dead?.filter(|dead| dead.seq == body.dead_seq);
        let dead = dead.ok_or_else(|| format!("there is no dead letter at sequence {}", body.dead_seq))?;
        let (input, message) = input_of(handling, dead, &asked).await?;

        // What the handler's deadline waits for may have come since it gave up.
        if handling.has_come(flow).await? {
            delivery.answers.ack(Settled::Awaited).await;
            return Ok(());
        }
        let published_in = propagation::extract(message.trace, &input.headers);
        let parent = propagation::extract(record.trace, &delivery.stored.headers);
        let again = delivery.instead(input);
        let task = Task::new(&handling.handler, &again, message, Trace::New { parent, published_in });
        // The redrive itself must be known.
        handling.react_late(&task).await;
        Ok(())
    }

    fn handler(&self, asked: &Reaction) -> Result<&Arc<Handling>, String> {
        let found = self.handlings.iter().find(|one| *one.handler == *asked.handler && one.event == asked.on);
        found.ok_or_else(|| format!("no handler `{}` reacts to {} here", asked.handler, asked.on))
    }
}

/// The input of a dead letter: as it was recorded, or from where it was read when it was too large to record.
async fn input_of(handling: &Handling, dead: Stored, asked: &Reaction) -> Result<(Stored, Message), NotNow> {
    let body: Dead = serde_json::from_slice(&dead.payload).map_err(|error| error.to_string())?;
    let record: Message = dead.try_into().map_err(|error| format!("{error}"))?;
    let same = |reaction: &Reaction| {
        reaction.cause == asked.cause && reaction.handler == asked.handler && reaction.on == asked.on
    };
    if !record.meta.reaction.as_ref().is_some_and(same) {
        return Err(format!("the dead letter at sequence {} is of another reaction", record.seq).into());
    }
    let input = body.input;
    let stored = match input.payload {
        Some(payload) => {
            let mut headers = HeaderMap::new();
            for (name, values) in &input.headers {
                for value in values {
                    if let (Ok(name), Ok(value)) = (name.parse::<async_nats::HeaderName>(), value.parse()) {
                        headers.append::<_, async_nats::HeaderValue>(name, value);
                    }
                }
            }
            Stored {
                stream: input.stream.into(),
                seq: input.seq,
                at: record.at,
                subject: input.subject,
                headers,
                malformed: None,
                payload: payload.to_bytes(),
            }
        }
        None => {
            let reader = handling.core.committer.link.reader();
            let found = reader.leader_next(&input.stream, &input.subject, input.seq).await;
            let found = found?.filter(|found| found.seq == input.seq);
            found.ok_or_else(|| format!("its input is no longer at {} {}", input.stream, input.seq))?
        }
    };
    let message = Message::try_from(stored.clone())
        .map_err(|error| format!("its input is still unreadable: {error}"))?;
    Ok((stored, message))
}
