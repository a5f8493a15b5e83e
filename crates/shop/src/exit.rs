use std::io::Write as _;
use std::process::ExitCode;

use laban::BoxError;

/// What a service's `main` returns: success, or failure with the error as a sentence on standard error.
pub fn exit(service: &str, ended: Result<(), BoxError>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed too.
            let _ = writeln!(std::io::stderr(), "{service}: {error}");
            ExitCode::FAILURE
        }
    }
}
