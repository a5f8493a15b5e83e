//! Compiler messages are part of the interface: the common mistakes of a service author, and what they are told.
//!
//! One case per file in `tests/ui`, its message beside it. After a change: `TRYBUILD=overwrite cargo test -p laban --test
//! compile`, and read the difference as somebody who sees the message for the first time: does it name the fix?

mod accepted;

use std::io::Write as _;
use std::process::Command;

/// The compiler whose words are recorded.
const RECORDED: &str = "rustc 1.95.";

#[test]
fn mistakes_get_a_message_that_names_the_fix() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    if !version.starts_with(RECORDED) {
        // Other compilers word and order the same facts differently. Past the harness, which hides what passed tests say.
        let _ =
            writeln!(std::io::stderr(), "skipped: the messages are those of {RECORDED}x, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
