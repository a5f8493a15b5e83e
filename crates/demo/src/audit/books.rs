use std::collections::{BTreeMap, BTreeSet};

use laban_wire::{FlowId, HANDLED};
use shop::audit::Audit as Books;

use crate::History;

/// What does not add up in the books, or is not what the flows say, in sentences. `completed` has what each completed order
/// costs, in cents.
pub fn compare_books(completed: &BTreeMap<FlowId, u64>, history: &History, books: &Books) -> Vec<String> {
    let mut findings = books.findings();
    let due: u64 = completed.values().sum();
    let kept = books.money_kept_cents();
    if kept != due {
        findings.push(format!("{kept} cents were kept, completed orders cost {due}"));
    }
    let completed: BTreeSet<String> = completed.keys().map(FlowId::key).collect();
    for (done, ids) in [("paid", books.paid_orders()), ("shipped", books.shipped_orders())] {
        let ids: BTreeSet<String> = ids.into_iter().map(str::to_owned).collect();
        findings
            .extend(ids.difference(&completed).map(|id| format!("order {id}: {done}, but not completed")));
        findings
            .extend(completed.difference(&ids).map(|id| format!("order {id}: completed, but not {done}")));
    }
    let told = letters_by_record(history);
    if books.letters.len() != told {
        findings.push(format!("{} letters were written, {told} are on record", books.letters.len()));
    }
    findings
}

/// How many letters notification's own records tell of.
fn letters_by_record(history: &History) -> usize {
    let record = format!("notification.{HANDLED}.");
    let messages = history.ids().flat_map(|id| history.messages(id));
    messages.filter(|stored| stored.subject.starts_with(&record)).count()
}
