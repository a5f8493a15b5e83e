//! What a service's program can be asked on its command line, without a broker and before any state is opened.

mod health;
mod help;
mod variables;

use std::io::Write as _;

use laban_wire::contract::Contract;

use crate::Result;
use health::Unwell;
pub(crate) use variables::Variable;

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// To be what it is.
    Run,
    Contract,
    Health,
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
        "health" => Asked::Health,
        "--help" | "-h" | "help" => Asked::Help,
        _ => Asked::Unknown(first),
    }
}

/// Whose command line it is.
pub(crate) struct Program<'a> {
    pub(crate) service: &'a str,
    /// The variables that the program reads besides Laban's.
    pub(crate) own: &'a [Variable],
    /// `LABAN_HTTP_ADDR`.
    pub(crate) http_addr: Option<String>,
}

/// Answers the program's arguments, if there are any, and ends the process.
pub(crate) fn answer(program: &Program<'_>, contract: impl FnOnce() -> Result<Contract>) {
    let mut all = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let name = all.next().unwrap_or_else(|| program.service.to_owned());
    let code = match asked(all) {
        Asked::Run => return,
        Asked::Help => told(&help::text(program.service, &name, program.own)),
        Asked::Health => match health::ask(program.http_addr.as_deref()) {
            Ok(words) => told(&words),
            Err(Unwell::NotReady(why)) => complained(&format!("not ready: {why}"), 1),
            Err(Unwell::Settings(why)) => complained(&why, 2),
        },
        Asked::Contract => {
            let json = contract().map_err(|error| error.to_string()).and_then(|contract| {
                serde_json::to_string_pretty(&contract).map_err(|error| error.to_string())
            });
            match json {
                Ok(json) => told(&json),
                Err(error) => complained(&error, 1),
            }
        }
        Asked::Unknown(what) => complained(&format!("`{what}` is not known here; see {name} --help"), 2),
    };
    std::process::exit(code)
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
        assert_eq!(asked(&["health"]), Asked::Health);
        assert_eq!(asked(&["-h"]), Asked::Help);
        assert_eq!(asked(&["--contract"]), Asked::Unknown("--contract".to_owned()));
        assert_eq!(asked(&["contract", "now"]), Asked::Unknown("contract now".to_owned()));
    }
}
