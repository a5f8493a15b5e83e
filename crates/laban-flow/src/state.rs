use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use laban_wire::{EventId, EventType, REDRIVE};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Overdue, Reactions, Step, Unreadable};

/// How a flow stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// A declared reaction is still awaited.
    Running,
    /// Nothing is awaited.
    Completed,
    /// Nothing is awaited, and a compensation has emitted an event.
    Compensated,
    /// A dead letter stands: a handler gave up, and has not succeeded since. Other reactions may still be awaited.
    Dead,
    /// A declared reaction is overdue.
    Stuck,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
            Self::Dead => "dead",
            Self::Stuck => "stuck",
        })
    }
}

/// A declared reaction that has left no outcome yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Awaited {
    /// The service that has to react.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// The type of the event to react to.
    pub event: EventType,
    /// The event to react to.
    pub cause: EventId,
    /// When the next attempt is due, if one failed; by the clock of the instance that wrote it.
    #[serde(with = "time::serde::rfc3339::option")]
    pub next_at: Option<OffsetDateTime>,
    /// What it waits for before it reacts, if it has a deadline: with one of these in the flow, it does not.
    #[serde(default)]
    pub unless: Vec<EventType>,
    /// When that deadline passes, by the broker's clock; for information.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub due_at: Option<OffsetDateTime>,
    /// Nothing has been heard of it for too long.
    #[serde(default)]
    pub overdue: Option<Overdue>,
}

/// One handler's work on one event.
pub(crate) type Work<'s> = (EventId, &'s str, &'s str);

pub(crate) fn work(step: &Step) -> Option<Work<'_>> {
    Some((step.cause?, &step.service, step.handler.as_deref()?))
}

/// What is still to come: for every event, each declared reaction to it that has no outcome; in the order of the events.
/// Messages that cannot be understood count for the deadlines that wait for an event of their subject.
pub(crate) fn awaited(steps: &[Step], unreadable: &[Unreadable], reactions: &Reactions) -> Vec<Awaited> {
    let present = steps.iter().map(Step::full_name).chain(unreadable.iter().map(Unreadable::full_name));
    let present: HashSet<String> = present.collect();
    let is_there = |event: &EventType| present.contains(event.as_str());
    let settled = settled(steps);
    // What is done again is done whatever the deadline has waited for.
    let again: HashSet<Work<'_>> = steps.iter().filter(|step| step.again).filter_map(work).collect();
    let mut asked = HashSet::new();
    let mut awaited = Vec::new();
    for step in steps {
        let Ok(event) = step.full_name().parse::<EventType>() else { continue };
        for declared in reactions.to(&event).iter().filter(|declared| declared.owes(step)) {
            let work = (step.id, declared.service.as_str(), declared.handler.as_str());
            if settled.contains_key(&work) || !asked.insert(work) {
                continue;
            }
            let (unless, due_at) = match &declared.deadline {
                Some(deadline) if deadline.unless.iter().any(is_there) && !again.contains(&work) => continue,
                Some(deadline) => (deadline.unless.clone(), deadline.due_at(step)),
                None => (Vec::new(), None),
            };
            awaited.push(Awaited {
                service: declared.service.clone(),
                handler: declared.handler.clone(),
                event: event.clone(),
                cause: step.id,
                next_at: None,
                unless,
                due_at,
                overdue: None,
            });
        }
    }
    let retries: HashMap<Work<'_>, OffsetDateTime> =
        steps.iter().filter_map(|step| Some((work(step)?, step.next_at?))).collect();
    for one in &mut awaited {
        one.next_at = retries.get(&(one.cause, one.service.as_str(), one.handler.as_str())).copied();
    }
    awaited
}

/// The work that has come to an end, each with the record that ended it last. A discard ends what a dead letter left open; a
/// redrive opens that dead letter again, or, if it asks for that, what took effect; neither does anything else.
fn settled(steps: &[Step]) -> HashMap<Work<'_>, usize> {
    let mut last = HashMap::new();
    // One service's records of one flow are in one stream, so later in the order is later in that stream.
    for (index, step) in steps.iter().enumerate() {
        let Some(work) = work(step) else { continue };
        if step.settles() {
            last.insert(work, index);
            continue;
        }
        let is_about = |last: &usize| match &steps[*last] {
            outcome if step.again => !outcome.is_dead_letter() && !outcome.is_operators(),
            letter if letter.is_dead_letter() => step.dead_seq == Some(letter.seq),
            discard => discard.is_operators() && discard.dead_seq == step.dead_seq,
        };
        if !step.is_operators() || !last.get(&work).is_some_and(is_about) {
            continue;
        }
        if step.event == REDRIVE {
            last.remove(&work);
        } else {
            last.insert(work, index);
        }
    }
    last
}

/// The dead letters that stand: no later record of the same work is an outcome or a redrive. As indexes of steps.
pub(crate) fn standing_dead_letters(steps: &[Step]) -> BTreeSet<usize> {
    let last = settled(steps);
    let nobodys = steps.iter().enumerate().filter(|(_, s)| s.is_dead_letter() && work(s).is_none());
    let nobodys = nobodys.map(|(index, _)| index);
    last.into_values().filter(|index| steps[*index].is_dead_letter()).chain(nobodys).collect()
}

/// Whether a handler that is declared as a compensation has emitted an event.
pub(crate) fn is_compensated(steps: &[Step], reactions: &Reactions) -> bool {
    steps.iter().filter(|step| !step.is_system()).any(|step| match (&step.handler, &step.on) {
        (Some(handler), Some(on)) => reactions.is_compensation(&step.service, handler, on),
        _ => false,
    })
}
