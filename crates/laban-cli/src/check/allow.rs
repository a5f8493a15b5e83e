use std::fmt;
use std::str::FromStr;

use laban_flow::check::{Finding, Kind, UnknownKind};

/// A finding that is accepted: `unconsumed-event`, or `unconsumed-event:order.archived`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allow {
    kind: Kind,
    subject: Option<String>,
}

impl Allow {
    pub(super) fn covers(&self, finding: &Finding) -> bool {
        self.kind == finding.kind && self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{}:{subject}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl FromStr for Allow {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let (kind, subject) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        Ok(Self { kind: kind.parse()?, subject: subject.map(str::to_owned) })
    }
}
