//! How the selected reactions stand: which have taken effect, and could be done again on purpose.

use std::collections::{HashMap, VecDeque};

use async_nats::Client;
use laban_wire::{
    Asked, DEAD, DISCARDED, EventId, EventType, FlowId, Message, REDRIVE, RETRYING, ServiceName, Stored,
    StoredAt, Subject,
};

use super::Run;
use crate::Error;
use crate::replay::Replay;

/// A handler's reaction to a selected event.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The handler.
    pub handler: String,
    /// The event's type.
    pub event: EventType,
    /// Its flow.
    pub flow: FlowId,
    /// Its id.
    pub cause: EventId,
    /// Where it is.
    pub input: StoredAt,
}

/// How a reaction stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reacted {
    /// The outcome that stands: nothing where it has not taken effect, was given up, or is being done again.
    pub outcome: Option<Outcome>,
    /// The last request to do it again that was heeded.
    pub asked: Option<EventId>,
    /// The last of the service's records about the flow: who writes under this fence knows all that there is.
    pub last_seq: u64,
}

/// An outcome that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its last record in the service's home stream.
    pub seq: u64,
    /// Which attempt came to it, from 1.
    pub attempt: u32,
}

impl Selected {
    /// The subject filter of all that the service recorded about the flow.
    pub fn records(&self, service: &ServiceName) -> String {
        Subject::all_of(service.as_str(), &self.flow)
    }

    /// How it stands, by those records; oldest first. The rule is the service's own.
    pub fn reacted(&self, records: impl IntoIterator<Item = Stored>) -> Reacted {
        let mut reacted = Reacted::default();
        for stored in records {
            reacted.last_seq = stored.seq;
            let Ok(message) = Message::try_from(stored) else { continue };
            let Some(reaction) = &message.meta.reaction else { continue };
            if reaction.cause != self.cause || *reaction.handler != *self.handler {
                continue;
            }
            match message.subject.event_type.event() {
                RETRYING | DISCARDED => {}
                DEAD => reacted.outcome = None,
                REDRIVE => {
                    let again = matches!(Asked::read(&message.payload), Ok(Asked::Again(_)));
                    if again && reacted.outcome.take().is_some() {
                        reacted.asked = Some(message.meta.id);
                    }
                }
                _ => {
                    reacted.outcome = Some(Outcome { seq: message.seq, attempt: reaction.attempt });
                }
            }
        }
        reacted
    }
}

/// The reactions that a run is about, in causal order.
pub struct Reactions<'a> {
    replay: Replay,
    run: &'a Run,
    waiting: VecDeque<Selected>,
    unreadable: HashMap<String, u64>,
}

impl Run {
    /// Reads history, and says which reactions there may be. It is read over `bulk`.
    pub fn reactions(&self, client: &Client, bulk: &Client) -> Reactions<'_> {
        let replay = self.plan.replay(client, bulk);
        Reactions { replay, run: self, waiting: VecDeque::new(), unreadable: HashMap::new() }
    }
}

impl Reactions<'_> {
    /// The next one. Whoever gives up waiting loses nothing.
    ///
    /// # Errors
    /// When history cannot be read on.
    pub async fn next(&mut self) -> Result<Option<Selected>, Error> {
        while self.waiting.is_empty() {
            let Some(record) = self.replay.next().await? else { return Ok(None) };
            let stored = &record.stored;
            let event = stored.subject.rsplit_once('.').and_then(|(event, _)| event.parse().ok());
            let handlers = event.as_ref().and_then(|event: &EventType| self.run.reacting.get(event));
            let handlers = handlers.into_iter().flatten().map(|index| &self.run.touched[*index].handler);
            let message = Message::try_from(stored.clone());
            for handler in handlers {
                let Ok(message) = &message else {
                    *self.unreadable.entry(handler.clone()).or_default() += 1;
                    continue;
                };
                self.waiting.push_back(Selected {
                    handler: handler.clone(),
                    event: message.subject.event_type.clone(),
                    flow: message.subject.flow.clone(),
                    cause: message.meta.id,
                    input: StoredAt { stream: stored.stream.to_string(), seq: stored.seq },
                });
            }
        }
        Ok(self.waiting.pop_front())
    }

    /// How many messages for a handler were no event, so far.
    pub fn unreadable(&self, handler: &str) -> u64 {
        self.unreadable.get(handler).copied().unwrap_or_default()
    }

    /// Takes away what reading has made on the broker.
    pub async fn close(self) {
        self.replay.close().await;
    }
}
