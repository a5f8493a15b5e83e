//! Standard output and standard error, closed or not, and what may be written there.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a line to standard error; there is nobody to tell when that is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether somebody watches.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Whether standard output takes colours: a terminal that is not dumb, and no `NO_COLOR` (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Whether the locale is one of UTF-8: the first of the three variables that is set decides, as POSIX has it.
pub(crate) fn is_utf8() -> bool {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
