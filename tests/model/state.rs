//! A state: what is at the broker, in the network and in the instances.

use crate::broker::{Draft, Home, Input, Log, Record, Request};
use crate::choreography::{FLOWS, INSTANCES, REACTIONS};

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) instances: [Instance; INSTANCES.len()],
    pub(crate) home: Home,
    pub(crate) inputs: [Input; REACTIONS.len()],
    /// An append that its sender has given up waiting for, and that has not arrived yet.
    pub(crate) late: Option<Request>,
    /// So many more things may go wrong.
    pub(crate) faults: u8,
}

impl State {
    /// Whether somebody has a delivery of this event for this handler.
    pub(crate) fn is_held(&self, reaction: usize) -> bool {
        self.instances.iter().any(|instance| instance.holds(reaction))
    }

    /// Whether the broker delivers this event without anything going wrong: for the first time, or when the one who had
    /// it is gone. While somebody has it, the broker hears that it is alive.
    pub(crate) fn is_due(&self, reaction: usize) -> bool {
        let Input { deliveries, acked } = self.inputs[reaction];
        !acked && (deliveries == 0 || !self.is_held(reaction))
    }

    /// Hands an event to an instance, where it waits for its flow's turn.
    pub(crate) fn deliver(&mut self, reaction: usize, to: usize) {
        let input = &mut self.inputs[reaction];
        input.deliveries += 1;
        self.instances[to].line[reaction] = input.deliveries;
    }

    /// The state, or the one in which the instances have changed places, and whether they have: what one of two like
    /// instances can do the other can, so only one of the two states needs to be looked at.
    pub(crate) fn canonical(mut self) -> (Self, bool) {
        let swapped = self.instances[0] > self.instances[1];
        if swapped {
            self.instances.swap(0, 1);
        }
        (self, swapped)
    }

    /// Everything that an instance takes for known, with the flow it is about.
    pub(crate) fn beliefs(&self) -> impl Iterator<Item = (usize, &Known)> {
        self.instances.iter().flat_map(|Instance { memory, works, .. }| {
            let remembered = memory.iter().map(Option::as_ref);
            let in_hand = works.iter().map(|work| work.as_ref().map(|work| &work.known));
            remembered.enumerate().chain(in_hand.enumerate()).filter_map(|(flow, known)| Some((flow, known?)))
        })
    }

    /// Everything that is being worked on.
    pub(crate) fn works(&self) -> impl Iterator<Item = &Work> {
        self.instances.iter().flat_map(|instance| instance.works.iter().flatten())
    }
}

/// One instance of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instance {
    /// What it remembers of each flow, while nobody works on it.
    pub(crate) memory: [Option<Known>; FLOWS.len()],
    /// Deliveries that wait for their flow's turn: which delivery of the event it is, from 1; 0 for none.
    pub(crate) line: [u8; REACTIONS.len()],
    /// Who has the flow's turn.
    pub(crate) works: [Option<Work>; FLOWS.len()],
}

impl Instance {
    fn holds(&self, reaction: usize) -> bool {
        let working = &self.works[REACTIONS[reaction].flow];
        self.line[reaction] > 0 || working.as_ref().is_some_and(|work| work.reaction() == reaction)
    }
}

/// A delivery that is being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) of: u8,
    /// Which delivery of the event it is, from 1.
    pub(crate) delivery: u8,
    pub(crate) known: Known,
    pub(crate) stage: Stage,
}

impl Work {
    pub(crate) fn reaction(&self) -> usize {
        self.of.into()
    }

    pub(crate) fn flow(&self) -> usize {
        REACTIONS[self.reaction()].flow
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Stage {
    /// The draft is to be appended.
    Append(Draft),
    /// The append was refused; the records are to be read.
    Lost(Draft),
    /// The append was not answered; the records are to be read.
    Unknown(Draft),
    /// What was known is given up; the records are to be read from the first.
    Forgotten(Draft),
    /// The input is to be acknowledged.
    Settled { duplicate: bool },
}

/// What an instance takes for known of one flow.
///
/// Kept apart from the records, as in the code: whether it agrees with them is one of the properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Known {
    /// The last sequence.
    pub(crate) last: u8,
    /// Which reactions are settled, as bits.
    settled: u8,
    /// How many attempts of each reaction are recorded.
    tried: [u8; REACTIONS.len()],
}

impl Known {
    /// What the first `last` records of a flow tell.
    pub(crate) fn of(log: &Log, last: u8) -> Self {
        let mut known = Self { last, ..Self::default() };
        log.history()[..usize::from(last)].iter().for_each(|record| known.note(*record));
        known
    }

    pub(crate) fn is_settled(&self, reaction: usize) -> bool {
        self.settled & (1 << reaction) != 0
    }

    pub(crate) fn tried(&self, reaction: usize) -> u8 {
        self.tried[reaction]
    }

    /// Takes in what is read, from the last known sequence up to `upto`. Says whether there was anything new.
    pub(crate) fn learn(&mut self, log: &Log, upto: u8) -> bool {
        let before = self.last;
        for (seq, record) in log.read(before, upto) {
            self.last = seq;
            self.note(record);
        }
        self.last > before
    }

    /// Takes in what was appended.
    pub(crate) fn wrote(&mut self, request: &Request, last: u8) {
        self.last = last;
        match request.draft {
            Draft::Outcome { .. } => self.settled |= 1 << request.of,
            Draft::Vanished { attempt } => self.tried[usize::from(request.of)] = attempt,
        }
    }

    fn note(&mut self, record: Record) {
        match record {
            Record::Outcome { of, .. } => self.settled |= 1 << of,
            Record::Vanished { of, .. } if self.is_settled(of.into()) => {}
            Record::Vanished { of, .. } => self.tried[usize::from(of)] += 1,
        }
    }
}
