//! Findings that are accepted.

use std::fmt;
use std::str::FromStr;

/// A finding that is accepted: `unconsumed-event`, or `unconsumed-event:order.archived`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allow<K> {
    kind: K,
    subject: Option<String>,
}

impl<K: PartialEq> Allow<K> {
    pub(crate) fn covers(&self, kind: &K, subject: &str) -> bool {
        self.kind == *kind && self.subject.as_ref().is_none_or(|accepted| accepted == subject)
    }
}

impl<K: fmt::Display> fmt::Display for Allow<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{}:{subject}", self.kind),
            None => write!(f, "{}", self.kind),
        }
    }
}

impl<K: FromStr> FromStr for Allow<K> {
    type Err = K::Err;
    fn from_str(text: &str) -> Result<Self, K::Err> {
        let (kind, subject) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
        Ok(Self { kind: kind.parse()?, subject: subject.map(str::to_owned) })
    }
}
