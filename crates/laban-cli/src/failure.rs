use std::process::ExitCode;

use laban_wire::ConnectError;

use crate::terminal;

/// Shown by `--help`; keep it true.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; `flow show`: the flow was found, whatever its state; `check`: nothing was found; `replay shadow`: every outcome is identical
  1  not done; `flow show`, `flow export`: there is no such flow; `dev`: not started, or something ended by itself; `check`: something was found;
     `dead`: there is no such dead letter, one was settled before, or one that was waited for has failed again;
     `replay run`: ended early, or something is newly dead, refused or unanswered; with --force: nothing selected has taken effect;
     `replay shadow`: an outcome is another; `stream replicas`: too few nodes, refused, or not all current in time
  2  the command line is wrong, or a file that it names
  3  the broker cannot be reached, or did not answer in full";

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is not there, or it went wrong.
    NotDone(String),
    /// What the command line names cannot be used.
    Usage(String),
    /// The broker cannot be reached, or did not answer in full.
    Broker(String),
    /// `check` or `replay shadow` found something, and has said so.
    Found,
}

impl Failure {
    /// Says it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let (message, code) = match self {
            Self::NotDone(message) => (message, 1),
            Self::Usage(message) => (message, 2),
            Self::Broker(message) => (message, 3),
            Self::Found => return ExitCode::from(1),
        };
        terminal::say(&format!("laban: {message}"));
        ExitCode::from(code)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let next = match error {
            ConnectError::Unreachable { .. } => {
                "; `laban dev` starts one, `--server` and `--context` name another"
            }
            _ => "",
        };
        Self::Broker(format!("{error}{next}"))
    }
}

impl From<laban_flow::Error> for Failure {
    fn from(error: laban_flow::Error) -> Self {
        match error {
            laban_flow::Error::Selection { .. } => Self::Usage(error.to_string()),
            laban_flow::Error::NoHomes => Self::NotDone(error.to_string()),
            _ => Self::Broker(error.to_string()),
        }
    }
}

impl From<laban_flow::map::ContractError> for Failure {
    fn from(error: laban_flow::map::ContractError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<laban_testkit::Error> for Failure {
    fn from(error: laban_testkit::Error) -> Self {
        Self::NotDone(laban_wire::error_chain(&error))
    }
}
