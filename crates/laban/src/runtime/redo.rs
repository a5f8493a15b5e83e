//! What took effect done again, on purpose.
//!
//! It is asked for like a redrive, by a record in the service's home stream, and worked on like one. What is new are the ids:
//! those of the outputs, and the idempotency key, are derived from the id of that record instead of the event's. Under the
//! old ones nobody downstream, nor the outside world, would take it for anything but a duplicate.

use laban_wire::{Dead, DeadInput, DeadReason, Message, StoredAt, Subject};

use super::consumers::home_of;
use super::core::Core;
use super::delivery::Delivery;
use super::handling::Handling;
use super::not_now::NotNow;
use super::redrive::{Asked, Input, Redriving, is_meant, run};

impl Redriving {
    /// Has the handler react to an event once more. If that cannot be, it ends in a dead letter: the reaction has been opened,
    /// and would stay so.
    pub(super) async fn again(
        &self,
        delivery: &Delivery,
        core: &Core,
        asked: &Asked,
        at: &StoredAt,
    ) -> Result<(), NotNow> {
        let ready = match self.handler(&asked.reaction) {
            Ok(handling) if !handling.definition.fenced => {
                Err(format!("handler `{}` takes effect at least once: a replay runs it", handling.handler))
            }
            Ok(handling) => input_at(handling, asked, at).await?.map(|input| (handling, input)),
            Err(reason) => Err(reason),
        };
        match ready {
            Ok((handling, input)) => run(handling, delivery, asked, input).await,
            Err(reason) => {
                let error = format!("to be done again, but not run: {reason}");
                self.give_up(core, delivery, asked, letter(asked, at), &error).await;
                Ok(())
            }
        }
    }
}

/// The event, from its stream. The inner error is final.
async fn input_at(
    handling: &Handling,
    asked: &Asked,
    at: &StoredAt,
) -> Result<Result<Input, String>, NotNow> {
    let StoredAt { stream, seq } = at;
    // Nothing is read for a handler but what it may be delivered.
    if *home_of(&handling.event) != **stream {
        return Ok(Err(format!("handler `{}` reacts to nothing of {stream}", handling.handler)));
    }
    let found = match handling.core.committer.link.reader().leader_at(stream, *seq).await {
        Ok(found) => found,
        Err(error) if error.is_no_stream() => None,
        Err(error) => return Err(error.into()),
    };
    let Some(stored) = found else {
        return Ok(Err(format!("its input is no longer at {stream} {seq}")));
    };
    let message = match Message::try_from(stored.clone()) {
        Ok(message) => message,
        Err(error) => return Ok(Err(format!("its input is unreadable: {error}"))),
    };
    if message.subject.event_type != handling.event {
        return Ok(Err(format!("its input is another event: {}", message.subject.event_type)));
    }
    Ok(is_meant(&message, asked).map(|()| (stored, message)))
}

/// The dead letter of what could not be done again: what would have been its input is where the record says.
fn letter(asked: &Asked, at: &StoredAt) -> Dead {
    Dead {
        reason: DeadReason::Rejected,
        error: String::new(),
        attempts: asked.reaction.attempt,
        fingerprint: String::new(),
        again: Some(asked.record.meta.id),
        input: DeadInput {
            stream: at.stream.clone(),
            seq: at.seq,
            subject: Subject::new(asked.reaction.on.clone(), asked.flow().clone()).to_string(),
            headers: Default::default(),
            payload: None,
        },
    }
}
