use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::Differences;

/// What may go wrong while a real process is made ready for a test, or a case is run.
///
/// Messages carry the end of the process' own log, because that is where the reason is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tool is neither installed nor to be had.
    #[error("{tool} cannot be had:\n{said}")]
    NoTool {
        /// The tool's name.
        tool: &'static str,
        /// The reason and the remedy, in one line.
        why: String,
        /// All that the provisioning script said, one line per source it tried.
        said: String,
    },
    /// A disk for a test is not to be had here: see [`SmallDisk`](crate::SmallDisk), [`PowerDisk`](crate::PowerDisk).
    #[error("a disk for a test cannot be had: {why}")]
    NoDisk {
        /// Why not.
        why: String,
    },
    /// A file, a folder or a pipe could not be handled.
    #[error("cannot {what}")]
    Io {
        /// What was tried, in the infinitive.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The program's path.
        program: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A process ended that should have stayed.
    #[error("{name} ended with {status}; its log ends with:\n{log}")]
    Exited {
        /// The process' name.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A process did not become ready, or did not end, in time.
    #[error("{name} did not {what} within {waited:?}; its log ends with:\n{log}")]
    Late {
        /// The process' name.
        name: String,
        /// What it was to do.
        what: String,
        /// How long it was given.
        waited: Duration,
        /// The end of its log.
        log: String,
    },
    /// A setting was given twice, in different ways, and the server took the other.
    #[error("{setting} does not hold: {by} overrules it")]
    Overruled {
        /// The setting that was asked for.
        setting: &'static str,
        /// What won.
        by: &'static str,
    },
    /// A condition did not come true in time: see [`wait::until`](crate::wait::until).
    #[error("waited {waited:?} in vain for {what}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// A case cannot be read, or not be run like this: see [`Case`](crate::Case).
    #[error("case {case}: {why}")]
    Case {
        /// The case's file.
        case: String,
        /// What is wrong, and what would do.
        why: String,
    },
    /// A broker did not do what a case needs.
    #[error("cannot {what}: {why}")]
    Broker {
        /// What was tried, in the infinitive.
        what: String,
        /// Why it failed.
        why: String,
    },
    /// A service did otherwise than a case has it: see [`CaseRun::check`](crate::CaseRun::check).
    #[error("{0}")]
    NotAsRecorded(Differences),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
