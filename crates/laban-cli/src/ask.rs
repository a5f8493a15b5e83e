//! What is asked before something is done.

use std::io::{BufRead as _, IsTerminal as _};

use crate::{Failure, terminal};

/// Asks on a terminal whether to go on; elsewhere nobody could answer.
pub(crate) fn may_go_on(question: &str) -> Result<(), Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::Usage(format!("{question} Say so with --yes; --dry-run does nothing")));
    }
    terminal::say_on(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::NotDone("nothing was done".to_owned())),
    }
}

/// Who decides: as said, or the name of the user.
pub(crate) fn who(by: Option<&str>) -> Option<String> {
    let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    by.map(str::to_owned).or_else(user).filter(|name| !name.trim().is_empty())
}

/// The same, where it must be known.
pub(crate) fn somebody(by: Option<&str>) -> Result<String, Failure> {
    who(by)
        .ok_or_else(|| Failure::Usage("say who decides, with --by: the environment has no USER".to_owned()))
}
