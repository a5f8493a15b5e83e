//! A child process that is spoken to by lines: a contestant, or the receiver of spans.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::proc;
use crate::error::{Doing as _, Error, Result};

/// How long a child may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a log an error shows.
const TAIL: usize = 2_000;

/// What to run.
pub(super) struct Program<'a> {
    /// What it is called in messages, and its log.
    pub(super) name: String,
    /// The file.
    pub(super) path: &'a Path,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Its environment, over what is inherited.
    pub(super) env: Vec<(String, String)>,
    /// The folder of logs.
    pub(super) logs: &'a Path,
}

/// A child. It is killed on drop, and it ends by itself when its standard input closes, should the driver be killed.
pub(super) struct Child {
    name: String,
    pid: u32,
    child: tokio::process::Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Child {
    /// Starts it. Its standard error goes to a log.
    pub(super) fn start(program: Program<'_>) -> Result<Self> {
        let Program { name, path, args, env, logs } = program;
        let log = logs.join(format!("{name}.log"));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .doing(format_args!("open {}", log.display()))?;
        let mut command = Command::new(path);
        // Settings of the shell that runs the bench must not reach what is measured.
        for (name, _) in std::env::vars_os() {
            if is_a_setting(&name) {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(args)
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .doing(format_args!("start {}", path.display()))?;
        let gone = || Error::new(format!("{name} ended at once"));
        let pid = child.id().ok_or_else(gone)?;
        let input = child.stdin.take().ok_or_else(gone)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(gone)?).lines();
        Ok(Self { name, pid, child, input: Some(input), output, log })
    }

    /// Says a line to it.
    pub(super) async fn say(&mut self, line: &str) -> Result<()> {
        let said = match &mut self.input {
            Some(input) => input.write_all(format!("{line}\n").as_bytes()).await,
            None => Ok(()),
        };
        said.map_err(|error| self.failed(&format!("does not listen ({error})")))
    }

    /// The next line it says that is a JSON object with this member, and the member.
    pub(super) async fn hear(&mut self, member: &str) -> Result<serde_json::Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.output.next_line()).await {
                Err(_) => return Err(self.failed(&format!("did not say {member:?} within {PATIENCE:?}"))),
                Ok(Ok(Some(line))) => {
                    let said = serde_json::from_str::<serde_json::Value>(&line).unwrap_or_default();
                    if let Some(value) = said.get(member) {
                        return Ok(value.clone());
                    }
                }
                Ok(_) => return Err(self.failed(&format!("ended and did not say {member:?}"))),
            }
        }
    }

    /// Seconds of CPU used so far.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        proc::cpu_seconds(self.pid).map_err(|error| self.failed(&error.to_string()))
    }

    /// The most memory it ever had, in MiB.
    pub(super) fn peak_rss_mib(&self) -> Result<f64> {
        proc::peak_rss_mib(self.pid).map_err(|error| self.failed(&error.to_string()))
    }

    /// Closes its standard input, and waits for its end.
    pub(super) async fn end(mut self) -> Result<()> {
        drop(self.input.take());
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("ended with {status}"))),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(_) => Err(self.failed(&format!("did not end within {PATIENCE:?}"))),
        }
    }

    /// An error with the end of its log, which is where the reason is.
    pub(super) fn failed(&self, what: &str) -> Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let tail = log.char_indices().rev().nth(TAIL).map_or(&*log, |(at, _)| &log[at..]);
        Error::new(format!("{} {what}; its log, {}, ends with:\n{tail}", self.name, self.log.display()))
    }
}

fn is_a_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["NATS_", "LABAN_", "OTEL_", "RUST_LOG", "TOKIO_", "GOMAXPROCS", "GOGC"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell<'a>(script: &str, logs: &'a Path) -> Program<'a> {
        Program {
            name: "child".to_owned(),
            path: Path::new("/bin/sh"),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: Vec::new(),
            logs,
        }
    }

    #[tokio::test]
    async fn lines_go_both_ways() {
        let logs = tempfile::tempdir().unwrap();
        let script = r#"echo noise; echo '{"ready":true}'; read line; echo "{\"heard\":\"$line\"}"; cat"#;
        let mut child = Child::start(shell(script, logs.path())).unwrap();
        assert_eq!(child.hear("ready").await.unwrap(), true);
        child.say("stop").await.unwrap();
        assert_eq!(child.hear("heard").await.unwrap(), "stop");
        child.end().await.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_fails_is_quoted() {
        let logs = tempfile::tempdir().unwrap();
        let mut child = Child::start(shell("echo no broker >&2; exit 3", logs.path())).unwrap();
        let error = child.hear("ready").await.unwrap_err().to_string();
        assert!(error.contains("no broker"), "{error}");
    }
}
