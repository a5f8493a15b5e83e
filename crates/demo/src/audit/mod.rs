//! What came of the orders, read back from all sides and compared with what should have.

mod books;
mod edges;
mod endings;
mod reactions;
mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use laban_flow::Step;
use laban_wire::FlowId;

pub use books::compare_books;
pub use edges::{Edge, edges_of_flow, edges_of_trace};
pub use endings::{End, ends};
pub use reactions::{Repeated, repeated};
pub use spans::{SpanAudit, audit as audit_spans, compare};

use crate::orders::{Expected, Placed, Plan};
use crate::{Error, History};

/// What came of the orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Flows that were begun by orders.
    pub flows: usize,
    /// Those that ended with `order.completed`, and nothing else.
    pub completed: BTreeSet<FlowId>,
    /// Those that ended with `order.cancelled`, and nothing else.
    pub cancelled: BTreeSet<FlowId>,
    /// Flows in which a deadline passed.
    pub overdue: usize,
    /// Requests that were refused, as they should.
    pub rejected_at_http: usize,
    /// Dead letters that stand.
    pub dead: usize,
    /// Flows in which a reaction is awaited.
    pub stuck: usize,
    /// Reactions with more than one outcome, and flows with more than one end or beginning.
    pub duplicates: usize,
    /// Whether money and goods add up.
    pub books_balanced: bool,
    /// What is not as it should be, in sentences.
    pub findings: Vec<String>,
}

/// Compares what was answered, what is in the streams and what is in the books with the plan.
///
/// # Errors
/// When the books cannot be read.
pub fn audit(plan: &Plan, placed: &[Placed], history: &History, books: &Path) -> Result<Audit, Error> {
    let mut audit =
        Audit { rejected_at_http: placed.iter().map(|one| one.refused).sum(), ..Audit::default() };
    audit.findings.extend(placed.iter().flat_map(|one| one.problems.iter().cloned()));
    let orders = audit.orders(placed);
    audit.flows = orders.len();
    audit.count("flows were begun", orders.len(), plan.flows());
    audit.count("requests were refused", audit.rejected_at_http, plan.refused());
    audit.strangers(history, &orders);
    for (id, one) in &orders {
        audit.flow(history, id, one);
    }
    audit.contended(plan, &orders);
    let Repeated { beginnings, reactions } = repeated(history);
    audit.duplicates += beginnings.len() + reactions.len();
    audit.findings.extend(beginnings.into_iter().chain(reactions));
    let due =
        audit.completed.iter().filter_map(|flow| Some((flow.clone(), orders.get(flow)?.order.total_cents)));
    let findings = compare_books(&due.collect(), history, &shop::audit::Audit::read(books)?);
    audit.books_balanced = findings.is_empty();
    audit.findings.extend(findings.into_iter().map(|finding| format!("books: {finding}")));
    Ok(audit)
}

/// Whether the step is what a handler with a deadline did.
fn has_deadline(history: &History, step: &Step) -> bool {
    let (Some(handler), Some(on)) = (&step.handler, &step.on) else { return false };
    let reactions = history.mesh().reactions.to(on).iter();
    reactions
        .filter(|one| one.service == step.service && one.handler == *handler)
        .any(|one| one.deadline.is_some())
}

type Orders<'p> = BTreeMap<FlowId, &'p Placed>;

impl Audit {
    fn count(&mut self, what: &str, is: usize, should: usize) {
        if is != should {
            self.findings.push(format!("{is} {what}, expected {should}"));
        }
    }

    /// The orders that became flows, by flow.
    fn orders<'p>(&mut self, placed: &'p [Placed]) -> Orders<'p> {
        let mut orders = Orders::new();
        for one in placed {
            let taken = one.order.requests.iter().any(|request| request.expected == Expected::Taken);
            match &one.flow {
                Some(flow) => {
                    if let Some(other) = orders.insert(flow.clone(), one) {
                        let what = (&one.order.what, &other.order.what);
                        self.findings.push(format!("flow {flow}: two orders ({}; {})", what.0, what.1));
                    }
                }
                None if taken => self.findings.push(format!("an order ({}) has no flow", one.order.what)),
                None => {}
            }
        }
        orders
    }

    /// Nothing is in the streams but what the orders began.
    fn strangers(&mut self, history: &History, orders: &Orders<'_>) {
        let unknown = history.ids().filter(|id| !orders.contains_key(*id));
        self.findings.extend(unknown.map(|id| format!("flow {id}: nobody ordered it")));
        let strangers = history.strangers().iter();
        self.findings.extend(strangers.map(|one| format!("{} {}: {}", one.stream, one.seq, one.subject)));
    }

    fn flow(&mut self, history: &History, id: &FlowId, placed: &Placed) {
        let Some(flow) = history.flow(id) else {
            self.stuck += 1;
            return self.findings.push(format!("flow {id}: it was taken, and no stream has a record of it"));
        };
        if flow.ended_at.is_none() {
            self.stuck += 1;
            let awaited = flow.awaited.iter().map(|one| format!("{} {}", one.service, one.handler));
            let awaited = awaited.collect::<Vec<_>>().join(", ");
            self.findings.push(format!("flow {id}: it has not ended; awaited: {awaited}"));
        }
        for letter in flow.dead_letters() {
            self.dead += 1;
            let error = letter.error.as_deref().unwrap_or_default();
            self.findings.push(format!("flow {id}: a dead letter of {}: {error}", letter.service));
        }
        for unreadable in &flow.unreadable {
            self.findings
                .push(format!("flow {id}: {} cannot be read: {}", unreadable.subject, unreadable.reason));
        }
        // Each run that a deadline started begins a trace.
        let late = flow.steps.iter().filter(|step| has_deadline(history, step)).count();
        self.overdue += usize::from(late > 0);
        if let Some(answered) = &placed.trace_id
            && (flow.traces().first() != Some(&answered.as_str()) || flow.traces().len() != 1 + late)
        {
            let traces = flow.traces().join(", ");
            self.findings.push(format!(
                "flow {id}: trace {answered} was answered, its records are of {traces}; {late} runs were started by a \
                 deadline"
            ));
        }
        self.ending(history, id, placed);
    }

    fn ending(&mut self, history: &History, id: &FlowId, placed: &Placed) {
        let ends = ends(history, id);
        let [end] = ends.as_slice() else {
            self.duplicates += ends.len().saturating_sub(1);
            let what = &placed.order.what;
            return self
                .findings
                .push(format!("flow {id} ({what}): it should have one end, it has {ends:?}"));
        };
        match end {
            End::Completed => self.completed.insert(id.clone()),
            End::Cancelled(_) => self.cancelled.insert(id.clone()),
        };
        if !placed.order.ending.is_some_and(|ending| end.fits(ending)) {
            self.findings.push(format!(
                "flow {id} ({}): it should have ended with {:?}, it ended with {end:?}",
                placed.order.what, placed.order.ending
            ));
        }
    }

    /// Of those that compete, as many are served as there is for.
    fn contended(&mut self, plan: &Plan, orders: &Orders<'_>) {
        let contended = |id: &&FlowId| {
            let ending = orders.get(*id).and_then(|one| one.order.ending);
            ending == Some(crate::orders::Ending::Contended)
        };
        let served = self.completed.iter().filter(contended).count();
        self.count("orders got the last of the goods", served, plan.contended_completed);
    }
}
