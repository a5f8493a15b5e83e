use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use laban_wire::{EventType, FlowId};
use time::OffsetDateTime;

use crate::{Flow, OVERDUE, State};

/// Which flows are looked for; all of these must hold.
#[derive(Clone, Debug)]
pub struct Query {
    /// In one of these states; in any when it is empty.
    pub states: Vec<State>,
    /// This service has a record of it, or is awaited.
    pub service: Option<String>,
    /// An event of this type is in it.
    pub event: Option<EventType>,
    /// Its key.
    pub key: Option<KeyPattern>,
    /// The record by which it is listed is not older.
    pub since: Option<OffsetDateTime>,
    /// The record by which it is listed is older.
    pub until: Option<OffsetDateTime>,
    /// It comes after this place.
    pub after: Option<Cursor>,
    /// How long a reaction may take without a sign of life.
    pub overdue: Duration,
    /// One of its records is of this trace.
    pub trace: Option<u128>,
    /// Looks at no more records than about this.
    pub most_records: u64,
    /// Hands out the bodies of events as well.
    pub bodies: bool,
    /// Looks at every record, even where the broker says that nothing is left to do.
    pub exhaustive: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            service: None,
            event: None,
            key: None,
            since: None,
            until: None,
            after: None,
            overdue: OVERDUE,
            trace: None,
            most_records: u64::MAX,
            bodies: false,
            exhaustive: false,
        }
    }
}

impl Query {
    /// Where the walk begins: at the first place that is older.
    pub(super) fn begin(&self) -> Option<Cursor> {
        let until = self.until.map(|at| Cursor { at, stream: String::new(), seq: 0 });
        [until, self.after.clone()].into_iter().flatten().min()
    }

    pub(super) fn wants_key(&self, flow: &FlowId) -> bool {
        self.key.as_ref().is_none_or(|pattern| pattern.matches(&flow.key()))
    }

    pub(super) fn wants(&self, flow: &Flow) -> bool {
        let has_service = |service: &String| {
            flow.steps.iter().any(|step| step.service == *service)
                || flow.awaited.iter().any(|awaited| awaited.service == *service)
        };
        let has_event = |event: &EventType| flow.steps.iter().any(|step| step.full_name() == event.as_str());
        (self.states.is_empty() || self.states.contains(&flow.state))
            && self.service.as_ref().is_none_or(has_service)
            && self.event.as_ref().is_none_or(has_event)
    }
}

/// A place in the list: a record. Written `<seq>@<stream>@<nanoseconds since 1970>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The broker's timestamp.
    pub at: OffsetDateTime,
    /// The stream.
    pub stream: String,
    /// The sequence there.
    pub seq: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}@{}", self.seq, self.stream, self.at.unix_timestamp_nanos())
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (seq, rest) = text.split_once('@')?;
            let (stream, at) = rest.rsplit_once('@')?;
            let at = OffsetDateTime::from_unix_timestamp_nanos(at.parse().ok()?).ok()?;
            Some(Self { at, stream: stream.to_owned(), seq: seq.parse().ok()? })
        };
        parse().ok_or_else(|| format!("`{text}` is no place in a list: take it from the list"))
    }
}

/// The beginning of a key, or a pattern with `*` for any text and `?` for any character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern(String);

impl KeyPattern {
    /// Whether the key is one of those meant.
    pub fn matches(&self, key: &str) -> bool {
        if self.0.contains(['*', '?']) { is_like(&self.0, key) } else { key.starts_with(&self.0) }
    }
}

impl From<&str> for KeyPattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// In time proportional to the product of both lengths: goes back to the last `*` alone.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_or_a_pattern() {
        let matches = |pattern: &str, key: &str| KeyPattern::from(pattern).matches(key);
        assert!(matches("47", "4711") && !matches("47", "147"));
        assert!(matches("*11", "4711") && matches("4?1*", "4711") && matches("a*b*c", "aXbYbZc"));
        assert!(!matches("*12", "4711") && !matches("4?1", "4711") && !matches("a*b*c", "ac"));
        assert!(matches("ö?l*", "öxl") && matches("*", "") && matches("**", "x"));
    }

    #[test]
    fn a_cursor_can_be_written_down() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_793_000_000_001_002_003).unwrap();
        let cursor = Cursor { at, stream: "PAYMENT-EU".to_owned(), seq: 7 };
        assert_eq!(cursor.to_string(), "7@PAYMENT-EU@1793000000001002003");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "7", "7@ORDER", "x@ORDER@1", "7@ORDER@x"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
