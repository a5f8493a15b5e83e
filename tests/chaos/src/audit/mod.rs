//! What came of the orders, from the streams in full, the books and the generator's own ledger.

mod accounts;
mod flows;
mod truth;

use std::collections::BTreeMap;
use std::path::Path;

use demo::History;
use demo::audit::{Repeated, compare_books, repeated};
use laban_tests::Outcome;
use laban_wire::FlowId;
use serde::Serialize;

pub(crate) use self::accounts::{Accounts, Standing, standing};
use crate::ledger::{Entry, Ledger};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// An accepted order, or a record of it, is not there.
    Lost,
    /// Something took effect twice.
    Duplicate,
    /// A flow has not ended, or not in time.
    Stuck,
    /// A flow ended otherwise than it should.
    Ending,
    /// A flow's events and causes are not those of its order.
    Graph,
    /// Money or goods do not add up, or the books are not what the streams say.
    Books,
    /// Inputs are not what was handled, given up, and is still to come.
    Accounts,
    /// A handler gave up.
    DeadLetter,
    /// An order was answered as it should not be.
    Answer,
    /// Something is in the streams that nobody ordered, or that cannot be read.
    Stranger,
}

/// What the audit found.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// Flows that ended with `order.completed`, with what each cost.
    pub(crate) completed: BTreeMap<FlowId, u64>,
    pub(crate) cancelled: usize,
    /// Orders without an answer that were taken.
    pub(crate) unknown_taken: usize,
    /// Payments that were not answered in time.
    pub(crate) overdue: usize,
    pub(crate) events: usize,
    pub(crate) records: usize,
    pub(crate) dead_letters: usize,
    /// Reactions with more than one outcome.
    pub(crate) reacted_twice: usize,
    pub(crate) accounts: Accounts,
    pub(crate) violations: Vec<Violation>,
}

/// Compares everything with everything.
pub(crate) fn audit(ledger: &Ledger, history: &History, books: &Path, pending: u64) -> Outcome<Audit> {
    let mut audit = Audit::default();
    let orders = audit.orders(ledger);
    audit.strangers(history, &orders);
    for (id, entry) in &orders {
        audit.flow(history, id, entry);
    }
    let Repeated { beginnings, reactions } = repeated(history);
    audit.reacted_twice = reactions.len();
    audit.found_all(Kind::Duplicate, beginnings.into_iter().chain(reactions));
    audit.accounts = Accounts::of(history, pending);
    let wrong = audit.accounts.findings();
    audit.found_all(Kind::Accounts, wrong);
    let found = compare_books(&audit.completed, history, &shop::audit::Audit::read(books)?);
    audit.found_all(Kind::Books, found);
    Ok(audit)
}

type Orders<'l> = BTreeMap<FlowId, &'l Entry>;

impl Audit {
    pub(crate) fn found(&mut self, kind: Kind, what: String) {
        self.violations.push(Violation { kind, what });
    }

    fn found_all(&mut self, kind: Kind, all: impl IntoIterator<Item = String>) {
        all.into_iter().for_each(|what| self.found(kind, what));
    }

    /// How many violations there are of a kind.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.violations.iter().filter(|violation| violation.kind == kind).count()
    }

    /// The orders that are flows or may be, by flow.
    fn orders<'l>(&mut self, ledger: &'l Ledger) -> Orders<'l> {
        let mut orders = Orders::new();
        for entry in &ledger.entries {
            self.found_all(Kind::Answer, entry.problems.iter().cloned());
        }
        for entry in ledger.begun() {
            let what = &entry.order.what;
            match &entry.flow {
                Some(flow) => {
                    if let Some(other) = orders.insert(flow.clone(), entry) {
                        self.found(
                            Kind::Answer,
                            format!("flow {flow}: two orders ({what}; {})", other.order.what),
                        );
                    }
                }
                None => self.found(Kind::Answer, format!("an order ({what}) has no flow")),
            }
        }
        orders
    }

    /// Nothing is in the streams but what the orders began.
    fn strangers(&mut self, history: &History, orders: &Orders<'_>) {
        let unknown = history.ids().filter(|id| !orders.contains_key(*id));
        self.found_all(Kind::Stranger, unknown.map(|id| format!("flow {id}: nobody ordered it")));
        let strangers = history.strangers().iter();
        self.found_all(
            Kind::Stranger,
            strangers.map(|one| format!("{} {}: {}", one.stream, one.seq, one.subject)),
        );
    }
}
