//! What must hold when all is over, read from the streams in full.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use laban::EventId;
use laban_wire::{DEAD, HANDLED, Message, REDRIVE, RETRYING, Reaction};

use crate::script::{Effect, Expected};

/// What a case must have come to.
pub(crate) struct Check<'a> {
    pub(crate) service: &'a str,
    pub(crate) expected: &'a [Expected],
    /// How many attempts are noted as come to nothing.
    pub(crate) notes: RangeInclusive<usize>,
    /// How many events have no cause.
    pub(crate) roots: RangeInclusive<usize>,
}

impl Check<'_> {
    /// What is wrong with these records: all that the service has written.
    pub(crate) fn findings(&self, records: &[Message]) -> Vec<String> {
        let mut findings = Vec::new();
        for one in self.expected {
            self.reaction(one, records, &mut findings);
        }
        let flows: BTreeSet<&str> = self.expected.iter().map(|one| one.flow.as_str()).collect();
        let joins = self.expected.iter().any(|one| one.effect == Effect::Half);
        for flow in flows.into_iter().filter(|_| joins) {
            let joined = records.iter().filter(|one| name(one) == "dispatched" && is_of(one, flow)).count();
            if joined != 1 {
                findings.push(format!("flow {flow}: its halves were joined {joined} times"));
            }
        }
        let of_expected = |record: &&Message| {
            let reaction = record.meta.reaction.as_ref();
            reaction.is_none_or(|reaction| self.expected.iter().any(|one| one.is(reaction)))
        };
        for foreign in records.iter().filter(|record| !of_expected(record)) {
            findings
                .push(format!("{} {} is of no reaction that was asked for", foreign.seq, foreign.subject));
        }
        let notes = records.iter().filter(|record| name(record) == RETRYING).count();
        if !self.notes.contains(&notes) {
            findings.push(format!("{notes} failed attempts are noted, not {:?}", self.notes));
        }
        let roots: Vec<EventId> =
            records.iter().filter(|record| record.meta.reaction.is_none()).map(|root| root.meta.id).collect();
        if !self.roots.contains(&roots.len()) {
            findings.push(format!("{} events have no cause, not {:?}", roots.len(), self.roots));
        }
        if roots.iter().collect::<BTreeSet<_>>().len() < roots.len() {
            findings.push("an event without a cause is there twice".to_owned());
        }
        findings
    }

    fn reaction(&self, expected: &Expected, records: &[Message], findings: &mut Vec<String>) {
        let mine: Vec<(&Message, &Reaction)> = records
            .iter()
            .filter(|record| record.seq > expected.seq_before)
            .filter_map(|record| Some((record, record.meta.reaction.as_ref()?)))
            .filter(|(_, reaction)| expected.is(reaction))
            .collect();
        let mut wrong =
            |what: String| findings.push(format!("flow {}: {} {what}", expected.flow, expected.handler));
        let (notes, effects): (Vec<_>, Vec<_>) =
            mine.into_iter().partition(|(record, _)| matches!(name(record), RETRYING | REDRIVE));

        let times = self.times(expected, &effects);
        match times {
            Some(1) => {}
            Some(0) => wrong("never took effect".to_owned()),
            Some(times) => wrong(format!("took effect {times} times")),
            None => wrong(format!("left what it should not: {}", listed(&effects))),
        }
        let attempts: Vec<u32> = notes.iter().map(|(_, reaction)| reaction.attempt).collect();
        let in_turn = (expected.attempts_before + 1..).take(attempts.len());
        if !attempts.iter().copied().eq(in_turn) {
            wrong(format!("noted its attempts as {attempts:?}"));
        }
        let (Some((first, reaction)), Some((last, _))) = (effects.first(), effects.last()) else { return };
        if notes.iter().any(|(note, _)| note.seq > first.seq) {
            wrong("noted a failed attempt after its effect".to_owned());
        }
        let failed = expected.attempts_before + attempts.len() as u32;
        if !(expected.attempts_before + 1..=failed + 1).contains(&reaction.attempt) {
            wrong(format!("took effect at attempt {}, after {failed} that failed", reaction.attempt));
        }
        if times == Some(1) && last.seq != first.seq + effects.len() as u64 - 1 {
            wrong(format!("was written in pieces: {}", listed(&effects)));
        }
    }

    /// How often it took effect; nothing when these are not the records of whole effects.
    fn times(&self, expected: &Expected, effects: &[(&Message, &Reaction)]) -> Option<usize> {
        let are = |names: &[&str]| effects.iter().all(|(record, _)| names.contains(&name(record)));
        match expected.effect {
            Effect::Handled => are(&[HANDLED]).then_some(effects.len()),
            Effect::Dead => are(&[DEAD]).then_some(effects.len()),
            Effect::Nothing => effects.is_empty().then_some(1),
            Effect::Half => are(&[HANDLED, "dispatched"]).then_some(effects.len()),
            Effect::Events(count) => {
                let id = |index| EventId::derived(expected.cause, self.service, expected.handler, index);
                let there = |id| effects.iter().filter(|(record, _)| record.meta.id == id).count();
                let times: BTreeSet<usize> = (0..count).map(|index| there(id(index))).collect();
                let times = times.first().copied().filter(|_| times.len() == 1)?;
                (effects.len() == times * count).then_some(times)
            }
        }
    }
}

impl Expected {
    fn is(&self, reaction: &Reaction) -> bool {
        reaction.cause == self.cause && &*reaction.handler == self.handler
    }
}

fn name(record: &Message) -> &str {
    record.subject.event_type.event()
}

fn is_of(record: &Message, flow: &str) -> bool {
    record.subject.flow.is_key(flow)
}

fn listed(records: &[(&Message, &Reaction)]) -> String {
    let lines = records.iter().map(|(record, _)| format!("{} {}", record.seq, record.subject));
    lines.collect::<Vec<_>>().join(", ")
}
