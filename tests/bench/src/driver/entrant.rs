//! Who takes part.

use std::fmt;

use clap::ValueEnum;

/// A contestant, as the command line and the report name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Kind {
    /// async-nats by hand.
    Raw,
    /// async-nats and OpenTelemetry by hand.
    RawOtel,
    /// async-nats by hand, with Laban's streams, subjects, headers and fence.
    RawFenced,
    /// The same with OpenTelemetry by hand.
    RawFencedOtel,
    /// Laban as it is by default: fenced, and traced by OTLP.
    Laban,
    /// Laban without tracing.
    LabanUntraced,
    /// RustStream, in `peers/ruststream`.
    #[value(name = "ruststream")]
    RustStream,
    /// Watermill, in `peers/watermill`.
    Watermill,
}

/// What memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub(crate) enum Allocator {
    /// The system's.
    System,
    /// mimalloc.
    Mimalloc,
    /// The system's, counting: to count with, not to be fast.
    #[value(skip)]
    Counting,
    /// That of another language's runtime.
    #[value(skip)]
    Own,
}

/// A contestant with an allocator: one row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entrant {
    /// Which contestant.
    pub(crate) kind: Kind,
    /// What memory comes from.
    pub(crate) allocator: Allocator,
}

impl Kind {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawOtel => "raw-otel",
            Self::RawFenced => "raw-fenced",
            Self::RawFencedOtel => "raw-fenced-otel",
            Self::Laban => "laban",
            Self::LabanUntraced => "laban-untraced",
            Self::RustStream => "ruststream",
            Self::Watermill => "watermill",
        }
    }
}

impl Entrant {
    /// Name and allocator, as tables have them.
    pub(crate) fn row(self) -> (&'static str, Option<&'static str>) {
        (self.kind.name(), (self.allocator != Allocator::Own).then(|| self.allocator.name()))
    }
}

impl Allocator {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Mimalloc => "mimalloc",
            Self::Counting => "counting",
            Self::Own => "own",
        }
    }
}

impl fmt::Display for Entrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())?;
        match self.allocator {
            Allocator::System | Allocator::Own => Ok(()),
            other => write!(f, "+{}", other.name()),
        }
    }
}
