//! What a build is to do again in one flow.

use std::collections::{HashMap, HashSet};

use laban_wire::contract::{DeadlineContract, HandlerContract};
use laban_wire::shadow::{Call, Kept, Outcome};
use laban_wire::{EventId, EventType, FlowId, Message, Millis, Stored};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::Scope;
use super::past::{Known, Past, Settled};
use super::scope::gets;
use crate::{Deadline, Declared};

/// Whose reaction to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The flow's key.
    pub flow: String,
    /// The handler.
    pub handler: String,
    /// The type of the event reacted to.
    pub on: EventType,
    /// Its id.
    pub cause: EventId,
    /// The stream that holds it; nothing where it was not found.
    pub stream: Option<String>,
    /// Its sequence there.
    pub seq: Option<u64>,
}

/// A reaction that may be run again, or what is known of it without that.
#[derive(Clone, Debug)]
pub enum Case {
    /// To be run again.
    Run(Box<Reaction>),
    /// It is recorded, and the build would not react, for this reason.
    Missing(About, String),
    /// Nothing is recorded of it yet, so there is nothing to compare with.
    Open(About),
    /// It cannot be run again, for this reason.
    Untold(About, String),
}

/// A reaction that is to be run again.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// Whose, and to what.
    pub about: About,
    /// What is recorded of it; nothing when nobody reacted.
    pub then: Option<Then>,
    pub(super) flow: FlowId,
    attempt: u32,
    input: Stored,
    /// The service's own records, as they were.
    records: Vec<Stored>,
    /// A handler without a fence leaves no record in the flow when it emits nothing there.
    pub(super) unrecorded: bool,
}

/// What is recorded of a reaction.
#[derive(Clone, Debug)]
pub struct Then {
    /// What came of it in the end.
    pub outcome: Outcome,
    /// How long the handler ran.
    pub handle_ms: Millis,
}

impl Reaction {
    /// The call that runs it again.
    pub fn call(&self, id: u64) -> Call {
        Call {
            id,
            handler: self.about.handler.clone(),
            attempt: self.attempt,
            input: Kept::from(&self.input),
            records: self.records.iter().map(Kept::from).collect(),
            recorded: match &self.then {
                Some(then) => Some(then.outcome.clone()),
                None if self.unrecorded => Some(Outcome::Emitted(Vec::new())),
                None => None,
            },
        }
    }
}

/// All cases of a flow, in the order of their inputs, then what is recorded of reactions that the build does not have.
pub(super) fn cases(scope: &Scope<'_>, flow: &FlowId, past: &Past) -> Vec<Case> {
    let places = past.settled.iter().enumerate();
    let places = places.map(|(index, one)| ((one.reaction.cause, &*one.reaction.handler), index)).collect();
    let mut cases = Cases { scope, flow, past, places, cases: Vec::new(), met: HashSet::new() };
    let mut ids = HashSet::new();
    for input in past.inputs() {
        // An event that was stored twice has happened the first time.
        if ids.insert(input.message.meta.id) {
            cases.input(input);
        }
    }
    for (index, settled) in past.settled.iter().enumerate() {
        if !settled.elsewhere && !cases.met.contains(&index) {
            cases.left(settled);
        }
    }
    cases.cases
}

struct Cases<'a> {
    scope: &'a Scope<'a>,
    flow: &'a FlowId,
    past: &'a Past,
    /// Where in what is settled a reaction is.
    places: HashMap<(EventId, &'a str), usize>,
    cases: Vec<Case>,
    /// Which of what is settled has been met.
    met: HashSet<usize>,
}

/// Whether a handler would react to an event.
enum Reacts {
    Yes,
    /// Not, as was so then.
    No,
    /// Nobody can say yet.
    Open,
    /// Not, other than then, for this reason.
    NotAnyMore(String),
}

impl Cases<'_> {
    fn input(&mut self, input: &Known) {
        let (message, on) = (&input.message, &input.message.subject.event_type);
        for handler in self.scope.contract.handlers.iter().filter(|handler| handler.consumes.contains(on)) {
            let index = self.places.get(&(message.meta.id, handler.name.as_str())).copied();
            self.met.extend(index);
            if !self.scope.chosen.has(message) || !self.scope.chosen.has_handler(&handler.name) {
                continue;
            }
            let settled = index.map(|index| &self.past.settled[index]);
            let declared = self.scope.declared(&handler.name, on);
            let about = about(self.flow, &handler.name, message);
            let case = match self.reacts(handler, declared, message, settled.is_some()) {
                Reacts::No => continue,
                Reacts::Open => Case::Open(about),
                Reacts::NotAnyMore(why) => Case::Missing(about, why),
                Reacts::Yes => {
                    let unrecorded = settled.is_none() && declared.is_some_and(|one| one.at_least_once);
                    Case::Run(Box::new(self.reaction(handler, about, &input.stored, settled, unrecorded)))
                }
            };
            self.cases.push(case);
        }
    }

    fn reacts(
        &self,
        handler: &HandlerContract,
        declared: Option<&Declared>,
        input: &Message,
        recorded: bool,
    ) -> Reacts {
        let got = declared.filter(|declared| gets(declared, input));
        let before = got.and_then(|declared| declared.deadline.as_ref());
        if let Some(deadline) = &handler.deadline
            && !before.is_some_and(|before| is_same(before, deadline))
        {
            // What happened then was by another rule.
            return match (self.passes(&handler.name, deadline, input), recorded) {
                (Some(true), _) | (None, true) => Reacts::Yes,
                (None, false) => Reacts::Open,
                (Some(false), false) => Reacts::No,
                (Some(false), true) => Reacts::NotAnyMore(format!(
                    "one of {} is in the flow within {} ms, so its deadline does not pass",
                    names(&deadline.unless),
                    deadline.within_ms
                )),
            };
        }
        match (recorded, declared) {
            (true, _) => Reacts::Yes,
            // Nobody reacted, and nobody has to.
            (false, Some(declared)) if got.is_none() && !declared.at_least_once => Reacts::No,
            (false, Some(_)) => match before {
                Some(deadline) if self.has_come(&deadline.unless) => Reacts::No,
                Some(_) if handler.deadline.is_some() => Reacts::Open,
                // It had a deadline, and has none any more.
                Some(_) => Reacts::Yes,
                None if got.is_some_and(|one| one.at_least_once) => Reacts::Yes,
                None => Reacts::Open,
            },
            (false, None) if handler.skips_history => Reacts::No,
            (false, None) => Reacts::Yes,
        }
    }

    /// Whether the deadline passes for this event, by the broker's timestamps; nothing while it is not due.
    fn passes(&self, handler: &str, deadline: &DeadlineContract, input: &Message) -> Option<bool> {
        let due = due_at(deadline, input)?;
        // What came of its passing then cannot keep it from passing.
        let effects = self.past.effects_of(input.meta.id, handler);
        let in_time = |known: &Known| {
            deadline.unless.contains(&known.message.subject.event_type)
                && known.message.at <= due
                && !effects.contains(&known.message.meta.id)
        };
        match self.past.inputs().any(in_time) {
            true => Some(false),
            false => (due <= self.scope.now).then_some(true),
        }
    }

    fn has_come(&self, any: &[EventType]) -> bool {
        self.past.inputs().any(|known| any.contains(&known.message.subject.event_type))
    }

    fn reaction(
        &self,
        handler: &HandlerContract,
        about: About,
        input: &Stored,
        settled: Option<&Settled>,
        unrecorded: bool,
    ) -> Reaction {
        let before = |known: &&Known| match settled {
            // What the fence was laid on.
            Some(settled) => known.message.seq < settled.first_seq,
            None => known.message.at <= input.at,
        };
        let records =
            self.past.own.iter().filter(|known| handler.reads_flow && known.is_state()).filter(before);
        Reaction {
            about,
            then: settled.map(|settled| Then {
                outcome: settled.outcome.clone(),
                handle_ms: settled.reaction.handle_ms,
            }),
            flow: self.flow.clone(),
            attempt: settled.map_or(1, |settled| settled.reaction.attempt.max(1)),
            input: match settled.and_then(|settled| settled.edited.clone()) {
                Some(payload) => Stored { payload, ..input.clone() },
                None => input.clone(),
            },
            records: records.map(|known| known.stored.clone()).collect(),
            unrecorded,
        }
    }

    /// What is recorded, and was not met with an input.
    fn left(&mut self, settled: &Settled) {
        let reaction = &settled.reaction;
        let (on, handler) = (&reaction.on, &*reaction.handler);
        let input = self.past.inputs().find(|known| known.message.meta.id == reaction.cause);
        let chosen = self.scope.chosen;
        // Where its input is not found, the record stands for it.
        let has_place = match input.map(|known| &known.message) {
            Some(message) => chosen.has_place(&message.stream, message.seq, message.at),
            None => self.has_orphan(settled),
        };
        if !has_place || !chosen.has_event(on) || !chosen.has_handler(handler) {
            return;
        }
        let about = About {
            flow: self.flow.key(),
            handler: handler.to_owned(),
            on: on.clone(),
            cause: reaction.cause,
            stream: input.map(|known| known.message.stream.to_string()),
            seq: input.map(|known| known.message.seq),
        };
        let case = match self.scope.handler(handler, on) {
            None if self.scope.contract.handlers.iter().any(|one| one.name == handler) => {
                Case::Missing(about, format!("`{handler}` does not react to {on} any more"))
            }
            None => Case::Missing(about, format!("there is no handler `{handler}` any more")),
            Some(_) if self.past.unreadable.contains(&reaction.cause) => {
                Case::Untold(about, "its input cannot be read, now as then".to_owned())
            }
            Some(contract) => match &settled.input {
                Some(input) => {
                    Case::Run(Box::new(self.reaction(contract, about, input, Some(settled), false)))
                }
                None => Case::Untold(about, "its input is not in the streams any more".to_owned()),
            },
        };
        self.cases.push(case);
    }

    fn has_orphan(&self, settled: &Settled) -> bool {
        let record = self.past.own.iter().find(|known| known.message.seq == settled.first_seq);
        record.is_some_and(|known| self.scope.chosen.has_orphan(known.message.at))
    }
}

fn about(flow: &FlowId, handler: &str, input: &Message) -> About {
    About {
        flow: flow.key(),
        handler: handler.to_owned(),
        on: input.subject.event_type.clone(),
        cause: input.meta.id,
        stream: Some(input.stream.to_string()),
        seq: Some(input.seq),
    }
}

fn is_same(before: &Deadline, now: &DeadlineContract) -> bool {
    before.unless == now.unless && before.within.as_millis() == u128::from(now.within_ms)
}

fn due_at(deadline: &DeadlineContract, input: &Message) -> Option<OffsetDateTime> {
    input.at.checked_add(time::Duration::milliseconds(i64::try_from(deadline.within_ms).ok()?))
}

fn names(events: &[EventType]) -> String {
    events.iter().map(EventType::as_str).collect::<Vec<_>>().join(", ")
}
