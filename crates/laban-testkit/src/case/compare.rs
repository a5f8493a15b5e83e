//! What a service did, beside what it did then.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use laban_wire::case::{Case, CaseRecord, CaseWhat, CaseWork, Ignore};
use laban_wire::{DEAD, Dead, EventId, EventType, HANDLED, Message, Payload};
use serde_json::Value;

use super::plan::Expected;

/// More differences of one body are counted, not shown.
const MOST_SHOWN: usize = 20;
/// Longer values are cut.
const LONGEST_SHOWN: usize = 200;

/// What a service did otherwise than a case has it, a line or more each. `Debug` shows them as `Display` does, so that a test
/// that returns them is readable.
#[derive(Clone)]
pub struct Differences(String);

impl Differences {
    pub(super) fn about(self, what: &str) -> Self {
        Self(format!("{what}\n{}", self.0))
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl fmt::Debug for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a service did, by reaction.
pub(super) struct Actual<'m> {
    reactions: HashMap<(EventId, &'m str), Vec<&'m Message>>,
    /// In the order in which they were first heard of.
    order: Vec<(EventId, &'m str)>,
    /// Events that it emitted without a cause.
    begun: Vec<&'m Message>,
}

impl<'m> Actual<'m> {
    pub(super) fn of(messages: impl IntoIterator<Item = &'m Message>) -> Self {
        let mut actual = Self { reactions: HashMap::new(), order: Vec::new(), begun: Vec::new() };
        for message in messages {
            let Some(reaction) = &message.meta.reaction else {
                actual.begun.push(message);
                continue;
            };
            let work = (reaction.cause, &*reaction.handler);
            let outcome = actual.reactions.entry(work).or_insert_with(|| {
                actual.order.push(work);
                Vec::new()
            });
            outcome.push(message);
        }
        actual
    }
}

/// All differences; nothing when there are none. Reactions to what the service was not `told` are not asked for.
pub(super) fn compare(
    case: &Case,
    expected: &[Expected],
    actual: &Actual<'_>,
    told: impl Fn(&CaseWork) -> bool,
) -> Option<Differences> {
    let mut report = String::new();
    let (mut alike, mut unreached) = (0, Vec::new());
    for Expected { work, outcome } in expected {
        let now = actual.reactions.get(&(work.cause, work.handler.as_str())).map_or(&[][..], Vec::as_slice);
        if now.is_empty() && !told(work) {
            unreached.push(format!("{} of {}", work.handler, work.on));
            continue;
        }
        let then: Vec<&CaseRecord> = outcome.iter().map(|place| &case.records()[*place]).collect();
        let lines = differences(&then, now, case.ignore());
        if lines.is_empty() {
            alike += 1;
        } else {
            section(&mut report, &work.handler, &work.on, &lines);
        }
    }
    let is_expected = |work: &(EventId, &str)| {
        expected.iter().any(|one| (one.work.cause, one.work.handler.as_str()) == *work)
    };
    for work in actual.order.iter().filter(|work| !is_expected(work)) {
        let outcome = &actual.reactions[work];
        let on = outcome[0].meta.reaction.as_ref().map(|reaction| &reaction.on);
        let Some(on) = on else { continue };
        let lines: Vec<String> = outcome.iter().map(|message| unexpected(message)).collect();
        section(&mut report, work.1, on, &lines);
    }
    for message in &actual.begun {
        let _ = writeln!(report, "without a cause:\n  {}", unexpected(message));
    }
    if report.is_empty() && unreached.is_empty() {
        return None;
    }
    if !unreached.is_empty() {
        let _ = writeln!(
            report,
            "not tried, because what it reacts to did not come of it: {}",
            unreached.join(", ")
        );
    }
    let _ = writeln!(report, "{alike} of {} reactions are as they were", expected.len());
    Some(Differences(report))
}

fn section(report: &mut String, handler: &str, on: &EventType, lines: &[String]) {
    let _ = writeln!(report, "{handler}, reacting to {on}:");
    for line in lines {
        let _ = writeln!(report, "  {}", line.replace('\n', "\n  "));
    }
}

fn unexpected(message: &Message) -> String {
    format!("{} came, and was not expected{}", message.subject.event_type, told_by(message))
}

/// What a record says, in a line.
fn told_by(message: &Message) -> String {
    match message.subject.event_type.event() {
        HANDLED => String::new(),
        DEAD => dead(message)
            .map_or_else(String::new, |dead| format!(": {}, {}", dead.reason.as_str(), shown(&dead.error))),
        _ => format!(": {}", shown(&String::from_utf8_lossy(&message.payload))),
    }
}

fn dead(message: &Message) -> Option<Dead> {
    serde_json::from_slice(&message.payload).ok()
}

/// What is different in the outcome of one reaction.
fn differences(then: &[&CaseRecord], now: &[&Message], ignore: &[Ignore]) -> Vec<String> {
    let mut lines = Vec::new();
    for index in 0..then.len().max(now.len()) {
        match (then.get(index), now.get(index)) {
            (Some(then), Some(now)) if then.event == now.subject.event_type => {
                let inner = within(then, now, ignore);
                if !inner.is_empty() {
                    lines.push(format!("{} (then ≠ now):\n  {}", then.event, inner.join("\n  ")));
                }
            }
            (Some(then), Some(now)) => {
                let event = &now.subject.event_type;
                lines.push(format!("{} was expected, {event} came{}", then.event, told_by(now)));
            }
            (Some(then), None) => lines.push(format!("{} was expected, and did not come", then.event)),
            (None, Some(now)) => lines.push(unexpected(now)),
            (None, None) => {}
        }
    }
    lines
}

/// What is different in two records of one type.
fn within(then: &CaseRecord, now: &Message, ignore: &[Ignore]) -> Vec<String> {
    let mut lines = Vec::new();
    match &then.what {
        CaseWhat::Handled => {}
        CaseWhat::Dead { reason, error, fingerprint } => {
            let Some(dead) = dead(now) else {
                return vec!["its record cannot be read".to_owned()];
            };
            if let Some(reason) = reason.filter(|reason| *reason != dead.reason) {
                lines.push(format!("reason: {} ≠ {}", reason.as_str(), dead.reason.as_str()));
            }
            if fingerprint.as_ref().is_some_and(|fingerprint| *fingerprint != dead.fingerprint) {
                let then = error.as_deref().or(fingerprint.as_deref()).unwrap_or_default();
                lines.push(format!("error: {} ≠ {}", shown(then), shown(&dead.error)));
            }
        }
        CaseWhat::Event { id, version, body } => {
            let number =
                |version: Option<u32>| version.map_or("none".to_owned(), |version| version.to_string());
            if version.is_some() && *version != now.meta.version {
                lines.push(format!("version: {} ≠ {}", number(*version), number(now.meta.version)));
            }
            if *id != now.meta.id {
                lines.push(format!("id: {id} ≠ {}", now.meta.id));
            }
            bodies(&then.event, body, &now.payload, ignore, &mut lines);
        }
    }
    lines
}

fn bodies(event: &EventType, then: &Payload, now: &[u8], ignore: &[Ignore], lines: &mut Vec<String>) {
    let then = then.to_bytes();
    let values = (serde_json::from_slice::<Value>(&then), serde_json::from_slice::<Value>(now));
    let (Ok(mut before), Ok(mut after)) = values else {
        if then != now {
            let text = |body: &[u8]| shown(&String::from_utf8_lossy(body));
            lines.push(format!("body: {} ≠ {}", text(&then), text(now)));
        }
        return;
    };
    for place in ignore.iter().filter(|place| place.event == *event) {
        place.remove_from(&mut before);
        place.remove_from(&mut after);
    }
    let mut fields = Vec::new();
    diff("", Some(&before), Some(&after), &mut fields);
    let more = fields.len().saturating_sub(MOST_SHOWN);
    lines.extend(fields.into_iter().take(MOST_SHOWN));
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
}

/// Where two values differ, by JSON pointer.
fn diff(at: &str, then: Option<&Value>, now: Option<&Value>, lines: &mut Vec<String>) {
    match (then, now) {
        (Some(Value::Object(then)), Some(Value::Object(now))) => {
            for (name, value) in then {
                diff(&below(at, name), Some(value), now.get(name), lines);
            }
            for (name, value) in now.iter().filter(|(name, _)| !then.contains_key(*name)) {
                diff(&below(at, name), None, Some(value), lines);
            }
        }
        (Some(Value::Array(then)), Some(Value::Array(now))) => {
            for index in 0..then.len().max(now.len()) {
                diff(&format!("{at}/{index}"), then.get(index), now.get(index), lines);
            }
        }
        (then, now) if then == now => {}
        (then, now) => {
            let text =
                |value: Option<&Value>| value.map_or("nothing".to_owned(), |value| shown(&value.to_string()));
            let at = if at.is_empty() { "body" } else { at };
            lines.push(format!("{at}: {} ≠ {}", text(then), text(now)));
        }
    }
}

fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// A value as it is shown: not too long, and on one line.
fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
