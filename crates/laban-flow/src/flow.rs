use std::collections::HashSet;

use laban_wire::{FlowId, RETRYING, Stored};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::order::{causes, order};
use crate::records::Records;
use crate::state::{awaited, is_compensated, standing_dead_letters};
use crate::{Awaited, Reactions, State, Step, Unreadable};

/// One run of a business process, as the streams tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The business key that all its events share.
    pub flow: String,
    /// How it stands.
    pub state: State,
    /// The earliest of its records' timestamps; by the broker's clocks, for information.
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    /// The latest of its records' timestamps; by the broker's clocks, for information. Nothing while a reaction is awaited.
    #[serde(with = "time::serde::rfc3339::option")]
    pub ended_at: Option<OffsetDateTime>,
    /// All its records, each after its cause and after what its stream held before it. What that leaves open is decided by
    /// depth (the number of causes before a step), then by the service's name; never by comparing clocks.
    pub steps: Vec<Step>,
    /// Declared reactions that have left no outcome yet.
    pub awaited: Vec<Awaited>,
    /// Messages of this flow that cannot be understood.
    pub unreadable: Vec<Unreadable>,
}

impl Flow {
    /// Rebuilds a flow from its messages, in any order; nothing when there are none.
    ///
    /// The event that a reaction's record names as its cause may be missing, and an event may be stored more than once.
    pub fn from_messages(
        flow: &FlowId,
        messages: impl IntoIterator<Item = Stored>,
        reactions: &Reactions,
    ) -> Option<Self> {
        let mut records = Records::default();
        messages.into_iter().for_each(|stored| records.add(stored));
        Self::from_records(flow, records, reactions)
    }

    pub(crate) fn from_records(flow: &FlowId, records: Records, reactions: &Reactions) -> Option<Self> {
        let Records { messages, mut unreadable, .. } = records;
        unreadable.sort_by(|a, b| (&a.stream, a.seq).cmp(&(&b.stream, b.seq)));
        let mut steps = order(messages.into_iter().map(Step::of).collect());
        mark_duplicates(&mut steps);
        let times = || steps.iter().map(|step| step.at).chain(unreadable.iter().map(|message| message.at));
        let (first, last) = (times().min()?, times().max()?);
        let awaited = awaited(&steps, &unreadable, reactions);
        let state = if !standing_dead_letters(&steps).is_empty() {
            State::Dead
        } else if !awaited.is_empty() {
            State::Running
        } else if is_compensated(&steps, reactions) {
            State::Compensated
        } else {
            State::Completed
        };
        Some(Self {
            flow: flow.key(),
            state,
            started_at: first,
            ended_at: awaited.is_empty().then_some(last),
            steps,
            awaited,
            unreadable,
        })
    }

    /// For each step the index of the step that caused it; nothing for a flow's first event, and where the cause is not among
    /// the steps.
    pub fn causes(&self) -> Vec<Option<usize>> {
        let before = |(index, cause): (usize, Option<usize>)| cause.filter(|cause| *cause < index);
        causes(&self.steps).into_iter().enumerate().map(before).collect()
    }

    /// The dead letters that stand: a handler gave up and has not succeeded since.
    pub fn dead_letters(&self) -> impl Iterator<Item = &Step> {
        standing_dead_letters(&self.steps).into_iter().map(|index| &self.steps[index])
    }

    /// The traces that its steps were written in, in the order of the steps. One, unless a step was redriven or replayed, or a
    /// deadline passed.
    pub fn traces(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.steps.iter().filter_map(|step| step.trace_id.as_deref()).filter(|id| seen.insert(*id)).collect()
    }
}

/// Attempts may fail, and redrives may end dead, any number of times; everything else happens once.
fn mark_duplicates(steps: &mut [Step]) {
    let mut seen = HashSet::new();
    for step in steps.iter_mut().filter(|step| step.event != RETRYING && !step.is_dead_letter()) {
        let what = (step.id, step.service.clone(), step.event.clone(), step.cause, step.handler.clone());
        step.duplicate = !seen.insert(what);
    }
}
