//! Redrives: a dead letter handed back to the one handler that failed, or what took effect done again on purpose.
//!
//! A redrive is a record in the service's own home stream, written by an operator. It opens the reaction again; what the
//! handler then does is committed like any other outcome, once, and begins a new trace that is linked to the old one.
//!
//! A redrive that cannot come to a run is answered with a dead letter like the one before, so that somebody sees it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use laban_wire::{
    Asked as Body, Dead, DeadInput, DeadReason, EventId, EventType, FlowId, Message, Reaction, Redrive,
    Stored,
};

use super::commit::{Commit, Committed};
use super::core::Core;
use super::delivery::{Delivery, Settled};
use super::drafts::fingerprint;
use super::handling::{Handling, Task};
use super::known::Identity;
use super::not_now::NotNow;
use super::progress::Progress;
use super::turns::Turn;
use crate::telemetry::{Trace, propagation};

/// The handlers that may be asked to try again.
pub(crate) struct Redriving {
    pub(crate) handlings: Vec<Arc<Handling>>,
    /// The type of the records that ask for it.
    pub(crate) redrive: EventType,
}

/// What an operator asks for.
pub(super) struct Asked {
    pub(super) record: Message,
    pub(super) reaction: Reaction,
    /// The body to run on instead.
    edited: Option<Bytes>,
    /// What the ids of outputs are derived from.
    ids_from: EventId,
}

/// What the handler is to run on: as it is stored, and as it was read.
pub(super) type Input = (Stored, Message);

impl Asked {
    /// Whether it is about what took effect once: now, or before it was given up.
    fn is_again(&self) -> bool {
        self.ids_from != self.reaction.cause
    }

    pub(super) fn flow(&self) -> &FlowId {
        &self.record.subject.flow
    }
}

impl Redriving {
    /// Does what a redrive asks for.
    pub(crate) async fn settle(self: Arc<Self>, delivery: Delivery, mut turn: Option<Turn>) {
        let Some(any) = self.handlings.first() else { return };
        let _alive = any.core.vigil.watch(&delivery.answers);
        if let Some(turn) = &mut turn {
            turn.come().await;
        }
        if let Err(not_now) = self.redrive(&delivery, &any.core).await {
            not_now.answer("redrive", &any.core.service, &delivery).await;
        }
    }

    async fn redrive(&self, delivery: &Delivery, core: &Core) -> Result<(), NotNow> {
        let record = delivery.read(&self.redrive).map_err(|error| error.to_string())?;
        let reaction = record.meta.reaction.clone();
        let reaction =
            reaction.ok_or_else(|| "its header names no cause, event type and handler".to_owned())?;
        let ids_from = record.meta.id;
        let asked = Asked { record, reaction, edited: None, ids_from };
        let body = Body::read(&asked.record.payload).map_err(|error| error.to_string())?;
        match body {
            Body::HandBack(body) => self.hand_back(delivery, core, asked, body).await,
            Body::Again(body) => self.again(delivery, core, &asked, &body.again).await,
        }
    }

    /// Hands the dead letter that is named to its handler.
    async fn hand_back(
        &self,
        delivery: &Delivery,
        core: &Core,
        asked: Asked,
        body: Redrive,
    ) -> Result<(), NotNow> {
        let letter = letter(core, asked.flow(), body.dead_seq, &asked.reaction).await?;
        let asked = Asked {
            edited: body.payload.map(|payload| payload.to_bytes()),
            ids_from: letter.again.unwrap_or(asked.reaction.cause),
            ..asked
        };
        let ready = match self.handler(&asked.reaction) {
            Ok(handling) => input_of(core, &letter, &asked).await?.map(|input| (handling, input)),
            Err(reason) => Err(reason),
        };
        match ready {
            Ok((handling, input)) => run(handling, delivery, &asked, input).await,
            Err(reason) => {
                let error = format!("handed back, but not run: {reason}");
                self.give_up(core, delivery, &asked, letter, &error).await;
                Ok(())
            }
        }
    }

    /// Records that there was no run.
    pub(super) async fn give_up(
        &self,
        core: &Core,
        delivery: &Delivery,
        asked: &Asked,
        letter: Dead,
        error: &str,
    ) {
        let given_up = give_up_again(core, delivery, asked, letter, error).await;
        if let (true, Ok(handling)) = (given_up, self.handler(&asked.reaction)) {
            handling.metrics.dead(error);
        }
    }

    pub(super) fn handler(&self, asked: &Reaction) -> Result<&Arc<Handling>, String> {
        let found = self.handlings.iter().find(|one| *one.handler == *asked.handler && one.event == asked.on);
        found.ok_or_else(|| format!("no handler `{}` reacts to {} here", asked.handler, asked.on))
    }
}

/// The dead letter that is asked for.
async fn letter(core: &Core, flow: &FlowId, seq: u64, asked: &Reaction) -> Result<Dead, NotNow> {
    let filter = format!("{}.{}.{}", core.service, laban_wire::DEAD, flow.token());
    let dead = core.committer.link.reader().leader_next(&core.committer.stream, &filter, seq).await?;
    let dead = dead.filter(|dead| dead.seq == seq);
    let dead = dead.ok_or_else(|| format!("there is no dead letter at sequence {seq}"))?;
    let body: Dead = serde_json::from_slice(&dead.payload).map_err(|error| error.to_string())?;
    let record: Message = dead.try_into().map_err(|error| format!("{error}"))?;
    let same = |reaction: &Reaction| {
        reaction.cause == asked.cause && reaction.handler == asked.handler && reaction.on == asked.on
    };
    if !record.meta.reaction.as_ref().is_some_and(same) {
        return Err(format!("the dead letter at sequence {seq} is of another reaction").into());
    }
    Ok(body)
}

/// The input of a dead letter: as it was recorded, or from where it was read when it was too large to record; with the body
/// that the operator gave, if there is one. The inner error is final.
async fn input_of(core: &Core, letter: &Dead, asked: &Asked) -> Result<Result<Input, String>, NotNow> {
    let DeadInput { stream, seq, subject, headers, payload } = &letter.input;
    let recorded = match payload {
        Some(payload) => Some(Stored {
            stream: stream.as_str().into(),
            seq: *seq,
            at: asked.record.at,
            subject: subject.clone(),
            headers: as_received(headers),
            malformed: None,
            payload: payload.to_bytes(),
        }),
        None => {
            let found = core.committer.link.reader().leader_next(stream, subject, *seq).await;
            match found {
                Ok(found) => found.filter(|found| found.seq == *seq),
                Err(error) if error.is_no_stream() => None,
                Err(error) => return Err(error.into()),
            }
        }
    };
    let Some(mut stored) = recorded else {
        return Ok(Err(format!("its input was too large to record, and is no longer at {stream} {seq}")));
    };
    if let Some(edited) = &asked.edited {
        stored.payload = edited.clone();
    }
    let mut message = match Message::try_from(stored.clone()) {
        Ok(message) => message,
        Err(error) => return Ok(Err(format!("its input is still unreadable: {error}"))),
    };
    if letter.reason == DeadReason::Unreadable {
        // It goes by where it is stored, whatever can be made of its headers now.
        message.meta.id = asked.reaction.cause;
    }
    Ok(is_meant(&message, asked).map(|()| (stored, message)))
}

/// Whether this is the event that is to be reacted to.
pub(super) fn is_meant(message: &Message, asked: &Asked) -> Result<(), String> {
    let (id, flow) = (message.meta.id, &message.subject.flow);
    if id == asked.reaction.cause && flow == asked.flow() {
        return Ok(());
    }
    Err(format!("its input is another event: {id} of flow {flow}"))
}

fn as_received(headers: &std::collections::BTreeMap<String, Vec<String>>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, values) in headers {
        for value in values {
            if let (Ok(name), Ok(value)) = (name.parse::<async_nats::HeaderName>(), value.parse()) {
                map.append::<_, async_nats::HeaderValue>(name, value);
            }
        }
    }
    map
}

/// Runs the handler, in a trace of its own.
pub(super) async fn run(
    handling: &Handling,
    delivery: &Delivery,
    asked: &Asked,
    (input, message): Input,
) -> Result<(), NotNow> {
    let published_in = propagation::extract(message.trace, &input.headers);
    let parent = propagation::extract(asked.record.trace, &delivery.stored.headers);
    let again = delivery.instead(input);
    let trace = Trace::New { parent, published_in };
    let (redrive, ids_from) = (asked.record.seq, asked.ids_from);
    let task = Task { redrive, ids_from, ..Task::new(&handling.handler, &again, message, trace) };
    // What the handler's deadline waits for may have come since it gave up. Who asks for it again knows that it had not.
    if !asked.is_again() && handling.has_come(asked.flow()).await? {
        handling.let_go(&task).await;
    } else {
        // The redrive itself must be known.
        handling.react_late(&task).await;
    }
    Ok(())
}

/// Records the dead letter again, with what is in the way of a run, unless this redrive has opened nothing. Says whether it has.
async fn give_up_again(core: &Core, delivery: &Delivery, asked: &Asked, letter: Dead, error: &str) -> bool {
    let Reaction { cause, handler, .. } = &asked.reaction;
    let identity = Identity { cause: *cause, handler: Arc::clone(handler) };
    let mut known = core.recall(asked.flow(), true, false).await;
    let attempts = match known.progress(&identity) {
        Progress::Tried { attempts, redrive, .. } if redrive == asked.record.seq => attempts,
        _ => {
            core.memory.put(asked.flow().clone(), known);
            delivery.answers.ack(Settled::Before).await;
            return false;
        }
    };
    tracing::error!(
        service = %core.service, %handler, flow = %asked.flow(), event = %asked.reaction.on, error, "dead letter"
    );
    let fingerprint = fingerprint(core.service.as_str(), handler, error);
    let reaction = Reaction { attempt: attempts.max(1), ..asked.reaction.clone() };
    let context = propagation::extract(asked.record.trace, &delivery.stored.headers);
    let limit = core.committer.link.client().max_payload();
    let again = Dead { error: error.to_owned(), fingerprint, ..letter };
    let draft = core.drafting.dead(asked.flow(), again, reaction, &context, limit);
    let commit = Commit {
        redrive: asked.record.seq,
        ..Commit::of_one(asked.flow(), &identity, draft, Progress::dead(attempts))
    };
    let committed = core.committer.commit(&commit, &mut known).await;
    core.memory.put(asked.flow().clone(), known);
    match &committed {
        Ok(Committed::Now { .. }) => delivery.answers.give_up("not run", error).await,
        Ok(Committed::Before | Committed::Stale) => delivery.answers.ack(Settled::Before).await,
        Err(refused) => {
            tracing::error!(service = %core.service, %handler, %refused, "dead letter not written");
            delivery.answers.not_now(Duration::from_secs(60), &refused.to_string()).await;
        }
    }
    matches!(committed, Ok(Committed::Now { .. }))
}
