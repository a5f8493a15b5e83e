//! What a service's program can be asked on its command line, without a broker and before any state is opened.

use std::io::Write as _;

use laban_wire::contract::Contract;

use crate::Result;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// To be what it is.
    Run,
    Contract,
    Help,
    /// Nothing that it knows.
    Unknown(String),
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Asked {
    let Some(first) = arguments.next() else { return Asked::Run };
    if let Some(more) = arguments.next() {
        return Asked::Unknown(format!("{first} {more}"));
    }
    match first.as_str() {
        "contract" => Asked::Contract,
        "--help" | "-h" | "help" => Asked::Help,
        _ => Asked::Unknown(first),
    }
}

/// Answers the program's arguments, if there are any, and ends the process.
pub(crate) fn answer(service: &str, contract: impl FnOnce() -> Result<Contract>) {
    let mut all = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = all.next().unwrap_or_else(|| service.to_owned());
    let code = match asked(all) {
        Asked::Run => return,
        Asked::Help => told(&help(service, &program)),
        Asked::Contract => {
            let json = contract().map_err(|error| error.to_string()).and_then(|contract| {
                serde_json::to_string_pretty(&contract).map_err(|error| error.to_string())
            });
            match json {
                Ok(json) => told(&json),
                Err(error) => complained(&error, 1),
            }
        }
        Asked::Unknown(what) => complained(&format!("`{what}` is not known here; see {program} --help"), 2),
    };
    std::process::exit(code)
}

fn help(service: &str, program: &str) -> String {
    format!(
        "{service}: a Laban service, which reacts to events on NATS JetStream with events of its own\n\n\
         Usage: {program} [contract]\n\n  \
           (nothing)   run until SIGTERM or Ctrl-C, then finish what is in hand\n  \
           contract    print what it consumes and emits, as JSON; needs no broker\n  \
           --help      print this\n\n\
         Settings are environment variables, such as NATS_URL; `docs/settings.md` in Laban's repository has them all."
    )
}

/// Whoever reads it may have gone away, which is their business.
fn told(text: &str) -> i32 {
    let _ = writeln!(std::io::stdout(), "{text}");
    0
}

pub(crate) fn complained(text: &str, code: i32) -> i32 {
    let _ = writeln!(std::io::stderr(), "{text}");
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_or_none() {
        let asked = |arguments: &[&str]| asked(arguments.iter().map(ToString::to_string));
        assert_eq!(asked(&[]), Asked::Run);
        assert_eq!(asked(&["contract"]), Asked::Contract);
        assert_eq!(asked(&["-h"]), Asked::Help);
        assert_eq!(asked(&["--contract"]), Asked::Unknown("--contract".to_owned()));
        assert_eq!(asked(&["contract", "now"]), Asked::Unknown("contract now".to_owned()));
    }
}
