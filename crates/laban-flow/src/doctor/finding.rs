use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Something that is wrong with a live mesh, or will be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// What it is about: a server, a stream, `<stream>/<consumer>`, a service, or `<service>/<handler>`. With the kind it
    /// names the finding.
    pub subject: String,
    /// What is the case.
    pub what: String,
    /// What would mend it.
    pub fix: String,
    /// More, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        kind: Kind,
        subject: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (subject, what, fix) = (subject.into(), what.into(), fix.into());
        Self { kind, severity, subject, what, fix, details: Vec::new() }
    }

    pub(super) fn with(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or a guarantee does not hold.
    Error,
    /// It works, and is likely not to for long.
    Warning,
    /// Good to know; nothing need be done.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

macro_rules! kinds {
    ($($(#[$about:meta])* $variant:ident = $name:literal,)*) => {
        /// The kinds of findings. Their names do not change. Each has a section in `docs/doctor.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[$about])* $variant,)*
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name: `server-too-old`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    /// A server that lacks what the commit needs.
    ServerTooOld = "server-too-old",
    /// Servers of different versions.
    ServersDiffer = "servers-differ",
    /// A server that does not answer its monitoring, or says that it is not well.
    ServerUnwell = "server-unwell",
    /// JetStream is not there.
    JetstreamOff = "jetstream-off",
    /// What is acknowledged may not be on the disk yet.
    LaxSync = "lax-sync",
    /// A stream, a consumer or the cluster has no leader.
    NoLeader = "no-leader",
    /// A replica is away, or behind.
    ReplicaAway = "replica-away",
    /// A stream in a cluster that does not survive the loss of a node.
    FewReplicas = "few-replicas",
    /// A stream whose settings could lose records or timers, or refuse what its service needs.
    UnfitStream = "unfit-stream",
    /// A home stream that forgets before those it rests on do.
    ShortRetention = "short-retention",
    /// A retention that costs more memory than there is.
    CostlyRetention = "costly-retention",
    /// Storage or memory that is nearly full.
    StorageFilling = "storage-filling",
    /// A handler's consumer whose settings could lose events.
    UnfitConsumer = "unfit-consumer",
    /// More and more events wait for a handler.
    GrowingLag = "growing-lag",
    /// Events wait for a handler, and no instance asks for them.
    NobodyAsks = "nobody-asks",
    /// Events are delivered, and neither acknowledged nor delivered again.
    Unacknowledged = "unacknowledged",
    /// Events are delivered again and again.
    Redeliveries = "redeliveries",
    /// As many events are unacknowledged as may be.
    PendingFull = "pending-full",
    /// A service of which no instance is there.
    AbsentService = "absent-service",
    /// A consumer whose reaction nobody declares, or to which no event comes any more.
    OrphanedConsumer = "orphaned-consumer",
    /// A consumer on a stream of the mesh that is no service's.
    ForeignConsumer = "foreign-consumer",
    /// A stream whose service is unknown.
    StreamWithoutService = "stream-without-service",
    /// A reader that does not know the version that is emitted.
    BreakingChange = "breaking-change",
    /// Instances with another contract than the one that is registered.
    ContractDrift = "contract-drift",
    /// Hosts whose clocks differ.
    ClockDrift = "clock-drift",
    /// Spans that were lost.
    DroppedSpans = "dropped-spans",
    /// Dead letters that nobody has decided about.
    DeadLetters = "dead-letters",
    /// Flows of which a step is overdue.
    StuckFlows = "stuck-flows",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == name);
        found.copied().ok_or_else(|| UnknownKind { name: name.to_owned() })
    }
}

/// No kind of finding has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no finding called `{name}`; there are {}", Kind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", "))]
pub struct UnknownKind {
    name: String,
}

/// Something that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
    /// What would let it be looked at.
    pub remedy: String,
}

impl Unseen {
    pub(super) fn new(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), remedy: remedy.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name() {
        for kind in Kind::ALL.iter().copied() {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        let error = "dance".parse::<Kind>().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no finding called `dance`; there are server-too-old, "),
            "{error}"
        );
    }

    /// Each finding has a section in the documentation that says what it is, how it is found and what mends it; and the
    /// documentation has no others.
    #[test]
    fn the_documentation_has_each_finding() {
        let page = include_str!("../../../../docs/doctor.md");
        let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
        let named = |section: &&str| section.lines().next().unwrap_or_default().parse::<Kind>().ok();
        let documented: Vec<Kind> = sections.iter().filter_map(named).collect();
        assert_eq!(documented, Kind::ALL, "left: sections of docs/doctor.md; right: kinds of findings");
        for section in sections.iter().filter(|section| named(section).is_some()) {
            for part in ["\n**What.** ", "\n**How it is found.** ", "\n**Fix.** "] {
                assert!(section.contains(part), "{part:?} is missing in:\n{section}");
            }
        }
        for kind in Kind::ALL {
            assert!(page.contains(&format!("\n| [`{kind}`](#{kind}) | ")), "{kind} is not in the table");
        }
    }
}
