//! What was found and what was looked at, as text and as JSON.

use laban_flow::doctor::{Finding, LookedAt, Severity, Unseen};
use serde_json::json;

use super::Outcome;

pub(super) fn text(outcome: &Outcome, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut lines = Vec::new();
    for finding in &outcome.examined.findings {
        let code = match finding.severity {
            Severity::Error => "1;31",
            Severity::Warning => "1;33",
            Severity::Note => "1;36",
        };
        let head = paint(code, &format!("{}: {}", finding.severity, finding.kind));
        lines.push(format!("{head} {}", paint("1", &finding.subject)));
        lines.push(format!("  {}", finding.what));
        lines.extend(finding.details.iter().map(|detail| format!("    {detail}")));
        lines.push(format!("  {} {}", paint("2", "fix:"), finding.fix));
        lines.push(String::new());
    }
    for Unseen { what, why, remedy } in &outcome.examined.unseen {
        lines.push(format!("{} {what}", paint("1", "not looked at:")));
        lines.push(format!("  {why}"));
        lines.push(format!("  {} {remedy}", paint("2", "to look at it:")));
        lines.push(String::new());
    }
    lines.push(format!("looked at {}", looked_at(&outcome.examined.looked_at)));
    lines.push(summary(outcome));
    lines.join("\n") + "\n"
}

fn looked_at(all: &LookedAt) -> String {
    let figures = [
        (all.servers as u64, "server"),
        (all.services as u64, "service"),
        (all.instances as u64, "instance"),
        (all.contracts as u64, "contract"),
        (all.streams as u64, "stream"),
        (all.consumers as u64, "consumer"),
        (all.flows, "open flow"),
    ];
    figures.map(|(number, what)| count(number, what)).join(", ")
}

/// `nothing is wrong (1 note)`, `2 findings: 1 error, 1 warning (1 allowed)`.
fn summary(outcome: &Outcome) -> String {
    let findings = &outcome.examined.findings;
    let of =
        |severity| findings.iter().filter(|finding: &&Finding| finding.severity == severity).count() as u64;
    let (errors, warnings, notes) = (of(Severity::Error), of(Severity::Warning), of(Severity::Note));
    let mut more = Vec::new();
    if notes > 0 {
        more.push(count(notes, "note"));
    }
    if !outcome.allowed.is_empty() {
        more.push(format!("{} allowed", outcome.allowed.len()));
    }
    if !outcome.examined.unseen.is_empty() {
        more.push(format!("{} not looked at", count(outcome.examined.unseen.len() as u64, "matter")));
    }
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) };
    match errors + warnings {
        0 => format!("nothing is wrong{more}"),
        all => format!(
            "{}: {}, {}{more}",
            count(all, "finding"),
            count(errors, "error"),
            count(warnings, "warning")
        ),
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn json(outcome: &Outcome, is_well: bool) -> String {
    let report = json!({
        "well": is_well,
        "findings": outcome.examined.findings,
        "allowed": outcome.allowed,
        "unseen": outcome.examined.unseen,
        "looked_at": outcome.examined.looked_at,
    });
    format!("{report:#}\n")
}
