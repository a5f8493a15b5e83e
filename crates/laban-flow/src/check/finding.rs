use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that is wrong, or may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// What it is about: an event, a service, `<service>/<handler>`, or two events with a `/` between. With the kind it names the finding.
    pub subject: String,
    /// The services that it is about.
    pub services: Vec<String>,
    /// What is the case.
    pub what: String,
    /// What would mend it.
    pub fix: String,
    /// More, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not work.
    Error,
    /// It may be meant; if it is not, it will go wrong.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The kinds of findings. Their names do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A change of an event's shape that breaks who reads it.
    BreakingChange,
    /// An event that two services emit.
    TwoProducers,
    /// A handler for an event that nobody emits.
    UntriggeredReaction,
    /// An event that nobody reacts to.
    UnconsumedEvent,
    /// Events that lead back to themselves.
    Cycle,
    /// A step that is undone after one failure, and not after another.
    MissingCompensation,
    /// A question and its answer, as events.
    RequestReply,
    /// A handler that cannot know which of its events came first.
    AssumedOrder,
    /// Events without a version.
    UnversionedEvent,
    /// Messages without a trace context.
    UntracedMessage,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::BreakingChange,
        Self::TwoProducers,
        Self::UntriggeredReaction,
        Self::UnconsumedEvent,
        Self::Cycle,
        Self::MissingCompensation,
        Self::RequestReply,
        Self::AssumedOrder,
        Self::UnversionedEvent,
        Self::UntracedMessage,
    ];

    /// Its name: `breaking-change`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakingChange => "breaking-change",
            Self::TwoProducers => "two-producers",
            Self::UntriggeredReaction => "untriggered-reaction",
            Self::UnconsumedEvent => "unconsumed-event",
            Self::Cycle => "cycle",
            Self::MissingCompensation => "missing-compensation",
            Self::RequestReply => "request-reply",
            Self::AssumedOrder => "assumed-order",
            Self::UnversionedEvent => "unversioned-event",
            Self::UntracedMessage => "untraced-message",
        }
    }

    /// What it is, in a sentence.
    pub fn summary(self) -> &'static str {
        match self {
            Self::BreakingChange => "A change of an event's shape breaks who reads it.",
            Self::TwoProducers => "An event is emitted by a service that it is not named after.",
            Self::UntriggeredReaction => "A handler waits for an event that nobody emits.",
            Self::UnconsumedEvent => "Nobody reacts to an event.",
            Self::Cycle => "Events lead back to themselves.",
            Self::MissingCompensation => "A step is undone after one failure, and not after another.",
            Self::RequestReply => "Two events are a question and its answer.",
            Self::AssumedOrder => "A handler cannot know which of its events came first.",
            Self::UnversionedEvent => "Events do not say which version of their shape they have.",
            Self::UntracedMessage => "Messages carry no trace context.",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| UnknownKind { name: name.to_owned() })
    }
}

/// No kind of finding has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding called `{name}`; there are {}", Kind::ALL.map(Kind::as_str).join(", "))]
pub struct UnknownKind {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let error = "dance".parse::<Kind>().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no finding called `dance`; there are breaking-change, "),
            "{error}"
        );
    }
}
