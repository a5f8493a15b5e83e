//! What may happen in one flow: events that lead to events.

use std::collections::{BTreeMap, BTreeSet};

use laban_wire::EventType;
use laban_wire::contract::HandlerContract;

use crate::map::MapEvent;
use crate::{Map, map::Member};

/// The handlers of a map, and where its flows begin.
pub(super) struct Paths<'m> {
    pub(super) handlers: Vec<Step<'m>>,
    /// Events that no handler on the map causes.
    pub(super) beginnings: Vec<&'m EventType>,
    /// The handlers that react to each event.
    reacting: BTreeMap<&'m EventType, Vec<usize>>,
}

/// A handler, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Step<'m> {
    pub(super) member: &'m Member,
    pub(super) handler: &'m HandlerContract,
}

/// What does not happen in a world.
#[derive(Clone, Copy, Default)]
pub(super) struct Without<'w> {
    /// This handler has no such outcome: it went another way.
    pub(super) outcomes: Option<(usize, &'w [EventType])>,
    /// These events never come.
    pub(super) events: &'w [EventType],
    /// These handlers do not run.
    pub(super) handlers: &'w [usize],
}

/// When a handler of several events emits something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joins {
    /// When all that it reacts to have come, if it reads flow state. What is found to happen so, may happen.
    NeedAll,
    /// When any has come. What is not found to happen so, does not.
    NeedAny,
}

impl<'m> Paths<'m> {
    pub(super) fn of(map: &'m Map) -> Self {
        let handlers: Vec<_> = map.handlers().map(|(member, handler)| Step { member, handler }).collect();
        let mut reacting = BTreeMap::<_, Vec<_>>::new();
        for (index, step) in handlers.iter().enumerate() {
            for event in &step.handler.consumes {
                reacting.entry(event).or_default().push(index);
            }
        }
        let begins = |event: &&MapEvent| event.begins() || event.emitted_by.is_empty();
        let beginnings = map.events.iter().filter(begins).map(|event| &event.event).collect();
        Self { handlers, beginnings, reacting }
    }

    /// All that may happen in a flow that begins with `first`, itself included.
    pub(super) fn after(
        &self,
        first: &'m EventType,
        without: Without<'_>,
        joins: Joins,
    ) -> BTreeSet<&'m EventType> {
        let mut happened = BTreeSet::from([first]);
        let mut next = vec![first];
        while let Some(event) = next.pop() {
            for index in self.reacting.get(event).into_iter().flatten() {
                let handler = self.handlers[*index].handler;
                if without.handlers.contains(index) || !may_run(handler, &happened, joins) {
                    continue;
                }
                let gone = |event: &EventType| {
                    let other_way =
                        without.outcomes.is_some_and(|(at, gone)| at == *index && gone.contains(event));
                    other_way || without.events.contains(event)
                };
                next.extend(outcomes(handler).filter(|event| !gone(event) && happened.insert(event)));
            }
        }
        happened
    }

    /// Whether two events may both happen in one flow: they have a beginning in common, and are no alternatives.
    pub(super) fn may_meet(&self, one: &EventType, other: &EventType) -> bool {
        self.beginnings.iter().any(|first| {
            let all = self.after(first, Without::default(), Joins::NeedAll);
            all.contains(one) && all.contains(other) && !self.are_alternatives(first, one, other)
        })
    }

    /// Whether there is a handler that must succeed for the one and fail for the other.
    fn are_alternatives(&self, first: &'m EventType, one: &EventType, other: &EventType) -> bool {
        let parting =
            self.handlers.iter().enumerate().filter(|(_, step)| !step.handler.fails_with.is_empty());
        parting.into_iter().any(|(index, step)| {
            let world = |gone: &'m [EventType]| {
                let without = Without { outcomes: Some((index, gone)), ..Without::default() };
                self.after(first, without, Joins::NeedAny)
            };
            let (failed, succeeded) = (world(&step.handler.emits), world(&step.handler.fails_with));
            let only = |event: &EventType, here: &BTreeSet<&EventType>, there: &BTreeSet<&EventType>| {
                here.contains(event) && !there.contains(event)
            };
            (only(one, &failed, &succeeded) && only(other, &succeeded, &failed))
                || (only(other, &failed, &succeeded) && only(one, &succeeded, &failed))
        })
    }
}

/// Whether a handler may emit something when this has happened.
fn may_run(handler: &HandlerContract, happened: &BTreeSet<&EventType>, joins: Joins) -> bool {
    let has = |event: &EventType| happened.contains(event);
    if joins == Joins::NeedAll && handler.reads_flow && !handler.consumes.is_empty() {
        handler.consumes.iter().all(has)
    } else {
        handler.consumes.iter().any(has)
    }
}

/// All that may come of a handler.
pub(super) fn outcomes(handler: &HandlerContract) -> impl Iterator<Item = &EventType> {
    handler.emits.iter().chain(&handler.fails_with)
}
