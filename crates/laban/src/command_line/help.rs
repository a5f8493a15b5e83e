//! `--help`: what a service's program can be asked, and all that it reads from the environment.

use std::fmt::Write as _;

use super::variables::{GROUPS, Variable};

/// Where meanings begin, unless a name is longer.
const COLUMN: usize = 34;

/// The whole text. `own` are the program's own variables.
pub(super) fn text(service: &str, program: &str, own: &[Variable]) -> String {
    let mut text = format!(
        "{service}: a Laban service, which reacts to events on NATS JetStream with events of its own\n\n\
         Usage: {program} [contract | health]\n\n  \
           (nothing)   run until SIGTERM or Ctrl-C, then finish what is in hand\n  \
           contract    print what it consumes and emits, as JSON; needs no broker\n  \
           health      ask the instance at LABAN_HTTP_ADDR whether it is ready: 0 yes, 1 no\n  \
           --help      print this\n\n\
         Settings are environment variables; an empty one counts as not set. docs/settings.md in Laban's repository says \
         more.\n"
    );
    if !own.is_empty() {
        group(&mut text, &format!("Of {service}"), own);
    }
    for one in GROUPS {
        group(&mut text, one.title, one.variables);
    }
    text.truncate(text.trim_end().len());
    text
}

fn group(text: &mut String, title: &str, variables: &[Variable]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n{title}:");
    for Variable { name, default, meaning } in variables {
        let _ = write!(text, "  {name:COLUMN$} {meaning}");
        let _ = if default.is_empty() { writeln!(text) } else { writeln!(text, " [{default}]") };
    }
}
