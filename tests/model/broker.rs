//! The broker: the home stream, which checks the fence, and the positions of the consumers.
//!
//! The fence and the reads go by flow, so the stream is kept flow by flow, and a sequence is a place in one flow. The
//! broker's own sequences grow in the same order, and a fence only ever compares two of the same flow.

use std::ops::Range;

use crate::choreography::{FLOWS, REACTIONS};
use crate::variants::Variant;

/// A record in the home stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Record {
    /// One message of an outcome: an event, or `_handled`.
    Outcome { of: u8, message: u8, gift: bool },
    /// `_retrying`: an attempt vanished.
    Vanished { of: u8, attempt: u8 },
}

/// What is to be appended: all of it or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Draft {
    /// The outcome of a run, from message `from` on. `gift` is what the handler made of the flow's state.
    Outcome { gift: bool, from: u8 },
    /// That an attempt vanished.
    Vanished { attempt: u8 },
}

/// An append on its way to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Request {
    pub(crate) of: u8,
    /// The last sequence of the flow that its sender knew.
    pub(crate) fence: u8,
    pub(crate) draft: Draft,
}

impl Request {
    /// The flow that it is fenced on.
    pub(crate) fn flow(&self) -> usize {
        REACTIONS[usize::from(self.of)].flow
    }

    /// The records that it writes, with their flows.
    pub(crate) fn records(&self, variant: Variant) -> impl Iterator<Item = (usize, Record)> + use<> {
        let of = self.of;
        let writes = REACTIONS[usize::from(of)].writes;
        let (messages, draft): (Range<usize>, Draft) = match self.draft {
            Draft::Outcome { from, .. } if variant == Variant::MessageByMessage => {
                (from.into()..usize::from(from) + 1, self.draft)
            }
            Draft::Outcome { from, .. } => (from.into()..writes.len(), self.draft),
            Draft::Vanished { .. } => (0..1, self.draft),
        };
        messages.map(move |message| match draft {
            Draft::Outcome { gift, .. } => {
                (writes[message], Record::Outcome { of, message: message as u8, gift })
            }
            Draft::Vanished { attempt } => (writes[0], Record::Vanished { of, attempt }),
        })
    }
}

/// What the broker says to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is written; this is the last sequence that it took in the flow of its fence.
    Written { last: u8 },
    /// The last sequence of the flow is another.
    FenceLost,
}

/// The records of one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Log {
    records: Vec<Record>,
    /// So many of the first records are gone.
    evicted: u8,
    /// So many of the first records have left the dedup window.
    outside_window: u8,
}

impl Log {
    /// All that was ever written, what is gone included.
    pub(crate) fn history(&self) -> &[Record] {
        &self.records
    }

    /// How many records were ever written: the sequence of the newest.
    pub(crate) fn newest(&self) -> u8 {
        self.records.len() as u8
    }

    /// What a fence is compared with: 0 when there is no record.
    pub(crate) fn last(&self) -> u8 {
        if self.evicted == self.newest() { 0 } else { self.newest() }
    }

    /// The records after sequence `after` up to `upto` that are still there, each with its sequence.
    pub(crate) fn read(&self, after: u8, upto: u8) -> impl Iterator<Item = (u8, Record)> {
        let from = after.max(self.evicted);
        (from..upto.max(from)).map(|index| (index + 1, self.records[usize::from(index)]))
    }

    /// Where in the dedup window a record with this one's message id is.
    fn in_window(&self, record: Record) -> Option<u8> {
        let mut window = self.read(self.outside_window, self.newest());
        window.find_map(|(seq, known)| (id(known) == id(record)).then_some(seq))
    }

    pub(crate) fn can_evict(&self) -> bool {
        self.evicted < self.newest()
    }

    pub(crate) fn evict(&mut self) {
        self.evicted += 1;
    }

    pub(crate) fn in_window_at_all(&self) -> bool {
        self.outside_window < self.newest()
    }

    pub(crate) fn leave_window(&mut self) {
        self.outside_window = self.newest();
    }
}

/// The id of a record: what it is of and which, not what it says.
fn id(record: Record) -> (u8, Option<u8>, Option<u8>) {
    match record {
        Record::Outcome { of, message, .. } => (of, Some(message), None),
        Record::Vanished { of, attempt } => (of, None, Some(attempt)),
    }
}

/// The home stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Home {
    pub(crate) flows: [Log; FLOWS.len()],
}

impl Home {
    /// Takes an append, or refuses it.
    pub(crate) fn append(&mut self, variant: Variant, request: &Request) -> Answer {
        let flow = request.flow();
        if variant == Variant::DedupWindow
            && let Some((to, record)) = request.records(variant).next()
            && let Some(last) = self.flows[to].in_window(record)
        {
            return Answer::Written { last };
        }
        let fenced = match variant {
            Variant::NoFence | Variant::DedupWindow => false,
            // Of those published one by one only the first is.
            Variant::MessageByMessage => !matches!(request.draft, Draft::Outcome { from: 1.., .. }),
            _ => true,
        };
        if fenced && self.flows[flow].last() != request.fence {
            return Answer::FenceLost;
        }
        let mut last = request.fence;
        for (to, record) in request.records(variant) {
            self.flows[to].records.push(record);
            if to == flow {
                last = self.flows[to].newest();
            }
        }
        Answer::Written { last }
    }

    /// How many of the messages of a reaction's outcome are there, each counted once.
    pub(crate) fn messages(&self, reaction: usize) -> usize {
        let mut there = 0_u32;
        for record in self.flows.iter().flat_map(Log::history) {
            if let Record::Outcome { of, message, .. } = record
                && usize::from(*of) == reaction
            {
                there |= 1 << message;
            }
        }
        there.count_ones() as usize
    }

    /// What a reaction made of the flow's state, if its outcome is there.
    pub(crate) fn gift(&self, reaction: usize) -> Option<bool> {
        self.flows.iter().flat_map(Log::history).find_map(|record| match *record {
            Record::Outcome { of, gift, .. } if usize::from(of) == reaction => Some(gift),
            _ => None,
        })
    }
}

/// One event, to be delivered to one handler: the position of the handler's consumer, as far as this event goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Input {
    pub(crate) deliveries: u8,
    pub(crate) acked: bool,
}
