use std::collections::BTreeSet;

use laban_wire::HANDLED;
use shop::audit::Audit as Books;

use super::{Audit, Orders};
use crate::History;

/// Compares the books with the flows.
pub(super) fn audit(audit: &mut Audit, orders: &Orders<'_>, history: &History, books: &Books) {
    let mut findings = books.findings();
    let completed: BTreeSet<String> = audit.completed.iter().map(|flow| flow.key()).collect();
    let due: u64 =
        audit.completed.iter().filter_map(|flow| orders.get(flow)).map(|one| one.order.total_cents).sum();
    let kept = books.money_kept_cents();
    if kept != due {
        findings.push(format!("{kept} cents were kept, completed orders cost {due}"));
    }
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
    audit.books_balanced = findings.is_empty();
    audit.findings.extend(findings.into_iter().map(|finding| format!("books: {finding}")));
}

/// How many letters notification's own records tell of.
fn letters_by_record(history: &History) -> usize {
    let record = format!("notification.{HANDLED}.");
    let messages = history.ids().flat_map(|id| history.messages(id));
    messages.filter(|stored| stored.subject.starts_with(&record)).count()
}
