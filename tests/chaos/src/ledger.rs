//! What the generator keeps for itself about the orders that it placed: what it knows was accepted, and what it does not
//! know. The audit takes nobody else's word.

use demo::orders::Order;
use laban_wire::FlowId;

/// One order that was placed.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) order: Order,
    /// The flow that it began, or would have begun.
    pub(crate) flow: Option<FlowId>,
    pub(crate) answer: Answered,
    /// Requests that were refused as they should be.
    pub(crate) refused: usize,
    /// What was not answered as it should be.
    pub(crate) problems: Vec<String>,
}

/// What the generator knows of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It was accepted: there is one flow of it.
    Accepted { trace_id: Option<String> },
    /// It was never answered: there is one flow of it, or none.
    Unknown,
    /// It was refused, as it should be: there is no flow.
    Refused,
}

/// All orders.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Entry>,
    /// Requests that were sent twice at once, to two instances or to one.
    pub(crate) sent_twice: u64,
    /// Requests that were sent again because there was no answer.
    pub(crate) sent_again: u64,
}

impl Ledger {
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| matches!(entry.answer, Answered::Accepted { .. }))
    }

    pub(crate) fn unknown(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.answer == Answered::Unknown)
    }

    /// Orders that are flows, or may be.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.answer != Answered::Refused)
    }
}
