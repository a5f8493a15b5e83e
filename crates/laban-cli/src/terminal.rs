//! Standard output and standard error, closed or not, and what may be written there.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::Failure;

/// Writes what was asked for to standard output. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(drop)
}

/// The same; says whether anybody still reads.
pub(crate) fn print_on(text: &str) -> Result<bool, Failure> {
    write_on(text.as_bytes())
}

/// The same for what is text already.
pub(crate) fn write_on(text: &[u8]) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::NotDone(format!("cannot write to standard output: {e}"))),
        Ok(()) => Ok(true),
    }
}

/// Writes a line to standard error; there is nobody to tell when that is closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes the beginning of a line to standard error, such as a question.
pub(crate) fn say_on(text: &str) {
    let mut err = io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// A line on a terminal that says how far it has come; nothing elsewhere.
pub(crate) fn progress(message: &'static str) -> ProgressBar {
    on_terminal(|| ProgressBar::new_spinner().with_message(message), "{spinner} {msg} ({elapsed})")
}

/// A bar on a terminal that says how far it has come of so many; nothing elsewhere.
pub(crate) fn bar(of: u64, template: &str) -> ProgressBar {
    on_terminal(|| ProgressBar::new(of), template)
}

fn on_terminal(made: impl FnOnce() -> ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = made();
    bar.enable_steady_tick(Duration::from_millis(200));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Whether standard output takes colours: a terminal that is not dumb, and no `NO_COLOR` (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Whether standard output is a terminal on which a place can be drawn on again.
pub(crate) fn is_drawn_on() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How many columns there are: those of the terminal, else what `COLUMNS` says, else a hundred.
pub(crate) fn columns() -> usize {
    let terminal = || Some(usize::from(rustix::termios::tcgetwinsize(io::stdout()).ok()?.ws_col));
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal().or_else(said).filter(|columns| *columns > 0).unwrap_or(100).min(1_000)
}

/// Whether the locale is one of UTF-8.
pub(crate) fn is_utf8() -> bool {
    is_utf8_locale(|name| std::env::var(name).ok())
}

/// The first of the three variables that is set decides, as POSIX has it.
fn is_utf8_locale(env: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| env(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::is_utf8_locale;

    #[test]
    fn the_first_variable_that_is_set_decides() {
        let utf8 = |env: &[(&str, &str)]| {
            is_utf8_locale(|name| {
                env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(utf8(&[("LANG", "en_US.UTF-8")]));
        assert!(utf8(&[("LANG", "C"), ("LC_ALL", "C.utf8")]));
        assert!(!utf8(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert!(utf8(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")]));
        assert!(!utf8(&[]));
    }
}
