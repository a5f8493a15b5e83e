//! A recorded outcome and that of a build, compared.

use laban_wire::shadow::{Emitted, Outcome, Trouble};
use laban_wire::{DeadReason, FlowId, Payload};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diff::{Change, diff};

/// How an outcome compares with what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The same events, or an error alike.
    Identical,
    /// Another outcome.
    Different,
    /// It is recorded, and the build does not react.
    Missing,
    /// Nobody reacted, and the build does.
    New,
    /// It had an outcome, and the build comes to an error.
    Failed,
}

impl Verdict {
    /// The verdict as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Different => "different",
            Self::Missing => "missing",
            Self::New => "new",
            Self::Failed => "failed",
        }
    }
}

/// A verdict, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// The verdict.
    pub verdict: Verdict,
    /// Where the outcomes differ.
    pub changes: Vec<Change>,
}

/// Compares what is recorded of a reaction in this flow with what a build comes to.
///
/// Events are compared by their place among the outputs, which their ids follow from: type, version, flow and body. Errors are
/// alike when they differ only in numbers, ids and quoted values; an error that may pass is alike to that of which all
/// attempts failed.
pub fn compare(flow: &FlowId, then: Option<&Outcome>, now: &Outcome) -> Compared {
    let (Some(then), false) = (then, then.is_some_and(|then| are_alike(then, now))) else {
        let verdict = if then.is_some() { Verdict::Identical } else { Verdict::New };
        let changes = if then.is_some() { Vec::new() } else { diff(&json!({}), &told(flow, now)) };
        return Compared { verdict, changes };
    };
    let changes = diff(&told(flow, then), &told(flow, now));
    let verdict = match (then, now) {
        (Outcome::Emitted(_), Outcome::Emitted(_)) if changes.is_empty() => Verdict::Identical,
        (Outcome::Emitted(_), Outcome::Retry(_) | Outcome::Dead { .. }) => Verdict::Failed,
        _ => Verdict::Different,
    };
    Compared { verdict, changes }
}

/// Two errors that are one.
fn are_alike(then: &Outcome, now: &Outcome) -> bool {
    let same = |a: &Trouble, b: &Trouble| a.fingerprint == b.fingerprint || a.error == b.error;
    match (then, now) {
        (Outcome::Dead { reason: DeadReason::Exhausted, trouble }, Outcome::Retry(error)) => {
            same(trouble, error)
        }
        (Outcome::Dead { reason, trouble }, Outcome::Dead { reason: other, trouble: error }) => {
            reason == other && same(trouble, error)
        }
        _ => false,
    }
}

/// An outcome as JSON, which the places of changes point into.
fn told(flow: &FlowId, outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Emitted(events) => {
            json!({ "events": events.iter().map(|event| event_told(flow, event)).collect::<Vec<_>>() })
        }
        Outcome::Retry(trouble) => json!({ "retry": { "error": trouble.error } }),
        Outcome::Dead { reason, trouble } => json!({ "dead": { "reason": reason, "error": trouble.error } }),
    }
}

fn event_told(flow: &FlowId, event: &Emitted) -> Value {
    let body = match &event.payload {
        Payload::Json(json) => serde_json::from_str(json.get()).unwrap_or(Value::Null),
        Payload::Text(text) => Value::String(text.clone()),
        Payload::Base64(text) => json!({ "base64": text }),
    };
    let mut told = json!({ "event": event.event, "version": event.version, "body": body });
    if !event.is_in(flow) {
        let key = FlowId::from_token(&event.flow).map_or_else(|_| event.flow.clone(), |flow| flow.key());
        told["flow"] = Value::String(key);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, version: u32, flow: &str, body: Value) -> Emitted {
        let payload = Payload::of(body.to_string().as_bytes());
        Emitted { event: name.parse().unwrap(), version: Some(version), flow: flow.to_owned(), payload }
    }

    fn captured(cents: u64) -> Emitted {
        event("payment.captured", 1, "4711", json!({"order_id": "4711", "amount_cents": cents}))
    }

    fn dead(reason: DeadReason, error: &str, fingerprint: &str) -> Outcome {
        Outcome::Dead { reason, trouble: trouble(error, fingerprint) }
    }

    fn trouble(error: &str, fingerprint: &str) -> Trouble {
        Trouble { error: error.to_owned(), fingerprint: fingerprint.to_owned() }
    }

    fn emitted(events: &[Emitted]) -> Outcome {
        Outcome::Emitted(events.to_vec())
    }

    fn compared(then: Option<&Outcome>, now: &Outcome) -> (Verdict, Vec<String>) {
        let Compared { verdict, changes } = compare(&"4711".parse().unwrap(), then, now);
        (verdict, changes.into_iter().map(|change| change.at).collect())
    }

    #[test]
    fn the_same_events_are_identical_however_they_are_written() {
        let spaced = br#"{ "amount_cents" : 100, "order_id":"4711" }"#;
        let spaced = Emitted { payload: Payload::of(spaced), ..captured(0) };
        let identical = (Verdict::Identical, vec![]);
        assert_eq!(compared(Some(&emitted(&[captured(100)])), &emitted(&[spaced])), identical);
        assert_eq!(compared(Some(&emitted(&[])), &emitted(&[])), identical);
    }

    #[test]
    fn whatever_a_reader_would_notice_is_a_difference() {
        let then = emitted(&[captured(100)]);
        let elsewhere =
            event("payment.captured", 1, "a%2Eb", json!({"order_id": "4711", "amount_cents": 100}));
        let later = event("payment.captured", 2, "4711", json!({"order_id": "4711", "amount_cents": 100}));
        for (now, places) in [
            (emitted(&[captured(101)]), vec!["/events/0/body/amount_cents"]),
            (emitted(&[]), vec!["/events/0"]),
            (emitted(&[captured(100), captured(1)]), vec!["/events/1"]),
            (emitted(&[later]), vec!["/events/0/version"]),
            (emitted(&[elsewhere]), vec!["/events/0/flow"]),
        ] {
            let places = places.into_iter().map(str::to_owned).collect();
            assert_eq!(compared(Some(&then), &now), (Verdict::Different, places), "{now:?}");
        }
        // Consumers tell outputs by their ids, and these by their order.
        let two = [captured(1), captured(2)];
        let turned = [captured(2), captured(1)];
        assert_eq!(compared(Some(&emitted(&two)), &emitted(&turned)).0, Verdict::Different);
    }

    #[test]
    fn an_error_where_there_was_an_outcome_is_a_failure() {
        let then = emitted(&[captured(100)]);
        for now in [Outcome::Retry(trouble("no bank", "f")), dead(DeadReason::Rejected, "no", "f")] {
            assert_eq!(compared(Some(&then), &now).0, Verdict::Failed);
        }
    }

    #[test]
    fn errors_are_compared_by_their_kind() {
        let then = dead(DeadReason::Exhausted, "no bank after 3 s", "aa");
        let alike = Outcome::Retry(trouble("no bank after 7 s", "aa"));
        assert_eq!(compared(Some(&then), &alike), (Verdict::Identical, vec![]));
        let other = Outcome::Retry(trouble("no card", "bb"));
        assert_eq!(compared(Some(&then), &other).0, Verdict::Different);
        // It is not given up for the same reason.
        let rejected = dead(DeadReason::Rejected, "no bank after 3 s", "aa");
        assert_eq!(compared(Some(&then), &rejected).0, Verdict::Different);
        assert_eq!(compared(Some(&rejected), &rejected).0, Verdict::Identical);
        assert_eq!(compared(Some(&rejected), &emitted(&[captured(1)])).0, Verdict::Different);
    }

    #[test]
    fn what_nobody_reacted_to_is_new() {
        assert_eq!(compared(None, &emitted(&[captured(1)])), (Verdict::New, vec!["/events".to_owned()]));
        assert_eq!(compared(None, &emitted(&[])).0, Verdict::New);
    }
}
