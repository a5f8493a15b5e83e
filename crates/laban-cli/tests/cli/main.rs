//! The `laban` binary against a real broker and Jaeger.
#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test")]

mod check;
mod dead;
mod dev;
mod doctor;
mod flow_forms;
mod flow_list;
mod flow_show;
mod map;
mod mesh;
mod metrics;
mod replay_force;
mod replay_run;
mod replay_view;
mod retire;
mod stream;
mod usage;

use std::process::{Command, Output};
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const LABAN: &str = env!("CARGO_BIN_EXE_laban");
const SOON: Duration = Duration::from_secs(20);

/// The binary in an environment that says nothing about brokers, in a UTF-8 locale.
fn laban(args: &[&str]) -> Command {
    let mut command = Command::new(LABAN);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NATS_") {
            command.env_remove(name);
        }
    }
    command.env("XDG_CONFIG_HOME", "/nowhere").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").args(args);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Exit code, standard output, standard error.
fn outcome(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
