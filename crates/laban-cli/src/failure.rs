use std::process::ExitCode;

use laban_wire::ConnectError;

use crate::terminal;

/// Those of all commands. What they mean for one of them stands beside it, and is shown by its `--help`; keep it true.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done, or something was found; each command's --help says what that is there
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
    /// `check`, `doctor` or `replay shadow` found something, and has said so.
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
