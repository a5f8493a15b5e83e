//! What was found as SARIF 2.1.0: code hosts show it beside the change.

use std::path::Path;

use laban_flow::check::{Finding, Kind, Severity};
use serde_json::{Value, json};

use super::Outcome;
use crate::Failure;

pub(super) fn write(outcome: &Outcome) -> Result<String, Failure> {
    let rule = |kind: Kind| {
        json!({
            "id": kind.as_str(),
            "shortDescription": { "text": kind.summary() },
            "help": { "text": format!("See docs/checks.md, {kind}.") },
        })
    };
    let accepted = |finding: &Finding| {
        let mut result = result(outcome, finding);
        result["suppressions"] = json!([{ "kind": "external", "justification": "--allow" }]);
        result
    };
    let results = outcome.found.iter().map(|finding| result(outcome, finding));
    let results: Vec<Value> = results.chain(outcome.allowed.iter().map(accepted)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "laban check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": Kind::ALL.map(rule),
            } },
            "results": results,
        }],
    });
    Ok(format!("{log:#}\n"))
}

fn result(outcome: &Outcome, finding: &Finding) -> Value {
    let mut text = finding.what.clone();
    for detail in &finding.details {
        text += "\n";
        text += detail;
    }
    text += "\nFix: ";
    text += &finding.fix;
    json!({
        "ruleId": finding.kind.as_str(),
        "level": if finding.severity == Severity::Error { "error" } else { "warning" },
        "message": { "text": text },
        "locations": finding.services.iter().map(|service| location(outcome, service, &finding.subject)).collect::<Vec<_>>(),
        // The same finding is the same whatever the wording becomes.
        "partialFingerprints": { "laban/v1": format!("{}:{}", finding.kind, finding.subject) },
    })
}

/// The contract file of the service, if there is one; and in any case what it is about.
fn location(outcome: &Outcome, service: &str, subject: &str) -> Value {
    let mut location = json!({
        "logicalLocations": [{ "name": subject, "fullyQualifiedName": format!("{service}:{subject}") }],
    });
    let origin = outcome.map.service(service).and_then(|member| member.origin.as_deref());
    if let Some(file) = origin.filter(|origin| Path::new(origin).is_file()) {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": file } });
    }
    location
}
