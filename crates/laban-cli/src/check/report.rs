//! What was found, as text and as JSON.

use laban_flow::check::{Finding, Severity};
use serde_json::json;

use super::Outcome;
use crate::Failure;

pub(super) fn text(outcome: &Outcome, colour: bool) -> String {
    let paint = |code: &str, text: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut lines = Vec::new();
    for finding in &outcome.found {
        let code = if finding.severity == Severity::Error { "1;31" } else { "1;33" };
        lines.push(format!(
            "{} {}",
            paint(code, &format!("{}: {}", finding.severity, finding.kind)),
            paint("1", &finding.subject)
        ));
        lines.push(format!("  {}", finding.what));
        lines.extend(finding.details.iter().map(|detail| format!("    {detail}")));
        lines.push(format!("  {} {}", paint("2", "fix:"), finding.fix));
        lines.push(String::new());
    }
    lines.push(summary(outcome));
    lines.join("\n") + "\n"
}

/// `clean: 5 services, 11 handlers, 11 events`, `2 findings: 1 error, 1 warning (1 allowed)`.
fn summary(outcome: &Outcome) -> String {
    let Outcome { map, found, allowed } = outcome;
    let allowed = if allowed.is_empty() { String::new() } else { format!(" ({} allowed)", allowed.len()) };
    if found.is_empty() {
        let (services, handlers) = (map.services.len(), map.handlers().count());
        return format!(
            "clean: {}, {}, {}{allowed}",
            count(services, "service"),
            count(handlers, "handler"),
            count(map.events.len(), "event")
        );
    }
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    format!(
        "{}: {}, {}{allowed}",
        count(found.len(), "finding"),
        count(errors, "error"),
        count(warnings, "warning")
    )
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

pub(super) fn json(outcome: &Outcome) -> Result<String, Failure> {
    let services: Vec<&str> = outcome.map.services.iter().map(|member| member.name()).collect();
    let report = json!({
        "clean": outcome.found.is_empty(),
        "services": services,
        "findings": findings(&outcome.found)?,
        "allowed": findings(&outcome.allowed)?,
    });
    Ok(format!("{report:#}\n"))
}

fn findings(found: &[Finding]) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(found).map_err(|e| Failure::NotDone(format!("cannot write JSON: {e}")))
}
