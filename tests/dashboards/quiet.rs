//! Queries that have nothing to show while all is well. Each is provoked later, and has something to show then.

/// A part of the query, why it is quiet, and which alert fires when it is not.
pub(crate) const QUIET: [(&str, &str, &str); 2] = [
    ("laban_reactions_overdue", "a step is named while it is missing", "LabanFlowsStuck"),
    ("ALERTS{alertname=~\"Laban.*\", alertstate=\"firing\"}", "no alert fires", "LabanFlowsStuck"),
];

/// Why a query may say nothing, if it may: the reason, and the alert with which it speaks.
pub(crate) fn reason(expression: &str) -> Option<(&'static str, &'static str)> {
    let found = QUIET.iter().find(|(part, ..)| expression.contains(part));
    found.map(|(_, reason, alert)| (*reason, *alert))
}
