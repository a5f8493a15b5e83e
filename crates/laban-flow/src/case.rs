//! A flow as a test: what happened, and nothing of when, how often and in which trace.

use std::collections::{HashMap, HashSet};

use laban_wire::case::{CaseRecord, CaseWhat, CaseWork};
use laban_wire::{
    DEAD, Dead, EventId, EventType, FlowId, FlowReader, HANDLED, Message, Payload, REDRIVE, RETRYING,
};

use crate::read::records_of;
use crate::state::standing_dead_letters;
use crate::{Error, Flow, Mesh};

impl Flow {
    /// Reads a flow as [`read`](Self::read) does, and with it the messages that it was rebuilt from.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_whole(
        reader: impl Into<FlowReader>,
        mesh: &Mesh,
        flow: &FlowId,
    ) -> Result<Option<(Flow, Vec<Message>)>, Error> {
        let records = records_of(&reader.into(), mesh, flow).await?;
        let messages = records.messages.clone();
        Ok(Flow::from_records(flow, records, &mesh.reactions).map(|flow| (flow, messages)))
    }

    /// The records of the case that this flow makes, in the order of its steps; `messages` are those that it was rebuilt
    /// from.
    ///
    /// Attempts are no part of a case: neither those that failed, nor requests for another, nor dead letters that a
    /// redrive has overcome. Nor is what cannot be understood, and what came of it.
    pub fn to_case(&self, messages: &[Message]) -> Vec<CaseRecord> {
        let by_place: HashMap<(&str, u64), &Message> =
            messages.iter().map(|message| ((&*message.stream, message.seq), message)).collect();
        let standing = standing_dead_letters(&self.steps);
        let events: HashSet<EventId> = self.steps.iter().filter(|s| !s.is_system()).map(|s| s.id).collect();
        let counts = self.steps.iter().enumerate().filter(|(index, step)| match step.event.as_str() {
            RETRYING | REDRIVE => false,
            DEAD => standing.contains(index),
            _ => !step.duplicate,
        });
        let messages = counts.filter_map(|(_, step)| by_place.get(&(step.stream.as_str(), step.seq)));
        messages.filter_map(|message| record_of(message, &events)).collect()
    }
}

/// Nothing for a system record that says nothing here.
fn record_of(message: &Message, events: &HashSet<EventId>) -> Option<CaseRecord> {
    let event: &EventType = &message.subject.event_type;
    let work = message.meta.reaction.as_ref().map(|reaction| CaseWork {
        cause: reaction.cause,
        on: reaction.on.clone(),
        handler: reaction.handler.to_string(),
    });
    let settled = || work.as_ref().is_some_and(|work| events.contains(&work.cause));
    let what = match event.event() {
        HANDLED if settled() => CaseWhat::Handled,
        DEAD if settled() => {
            // One of a later release, or a forged one, is still a dead letter.
            let dead = serde_json::from_slice::<Dead>(&message.payload).ok();
            CaseWhat::Dead {
                reason: dead.as_ref().map(|dead| dead.reason),
                fingerprint: dead.as_ref().map(|dead| dead.fingerprint.clone()),
                error: dead.map(|dead| dead.error),
            }
        }
        _ if event.is_system() => return None,
        _ => CaseWhat::Event {
            id: message.meta.id,
            version: message.meta.version,
            body: Payload::of(&message.payload),
        },
    };
    Some(CaseRecord { event: event.clone(), work, what })
}
