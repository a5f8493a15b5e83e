//! The new build as a process, in a sandbox.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use laban_flow::words::plain;
use laban_wire::shadow::{ADDRESS, TOKEN};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::Failure;

/// What says where a service finds its broker and where its telemetry goes: none of it is for the sandbox.
const NOT_INHERITED: [&str; 3] = ["NATS_", "LABAN_", "OTEL_"];
/// A build that knows nothing of shadows looks for a broker. There is none here.
const NOBODY: &str = "nats://127.0.0.1:1";
/// How many of the last lines that it wrote are shown.
const TAIL: usize = 10;
/// Longer lines are cut.
const LINE_BYTES: usize = 1_000;
/// How long it has to end by itself, once the conversation has.
const GRACE: Duration = Duration::from_secs(3);
/// How long its last words may take.
const LAST_WORDS: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(20);

/// The process, and whatever it starts: a process group of its own, which is killed on drop.
pub(super) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
    tail: Arc<Mutex<VecDeque<String>>>,
    reading: Vec<JoinHandle<()>>,
}

impl Child {
    /// Starts the command, and tells it where it is awaited.
    pub(super) fn start(command: &[String], awaited: SocketAddr, token: &str) -> Result<Self, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::Usage("there is no command".to_owned()))?;
        let mut starting = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if NOT_INHERITED.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                starting.env_remove(name);
            }
        }
        let started = starting
            .args(arguments)
            .env("NATS_URL", NOBODY)
            .env(ADDRESS, awaited.to_string())
            .env(TOKEN, token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let mut process =
            started.map_err(|error| Failure::Usage(format!("cannot start `{program}`: {error}")))?;
        let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let tail = Arc::default();
        let mut reading = Vec::new();
        reading.extend(process.stdout.take().map(|out| tokio::spawn(keep(out, Arc::clone(&tail)))));
        reading.extend(process.stderr.take().map(|err| tokio::spawn(keep(err, Arc::clone(&tail)))));
        Ok(Self { process, group, tail, reading })
    }

    /// Completes when the process has ended. It is left to be waited for, so that its group remains its own.
    pub(super) async fn ended(&self) {
        while !self.has_ended() {
            tokio::time::sleep(POLL).await;
        }
    }

    fn has_ended(&self) -> bool {
        let Some(group) = self.group else { return true };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error says that there is no such child any more.
        !matches!(waitid(WaitId::Pid(group), look), Ok(None))
    }

    /// Why something went wrong, with what the process said last.
    pub(super) async fn blamed(&self, failure: Failure) -> Failure {
        let Failure::NotDone(message) = failure else { return failure };
        if self.has_ended() {
            // What it wrote may still be on its way.
            let _ = tokio::time::timeout(LAST_WORDS, self.silent()).await;
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = tail.iter().map(|line| format!("\n  {}", plain(line, false))).collect::<String>();
        let last =
            if lines.is_empty() { "; it wrote nothing".to_owned() } else { format!(". It wrote:{lines}") };
        Failure::NotDone(message + &last)
    }

    async fn silent(&self) {
        while !self.reading.iter().all(JoinHandle::is_finished) {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for it and all that it has started to end, which they do when nobody asks them any more; those that do not are
    /// killed.
    pub(super) async fn end(mut self) {
        let _ = tokio::time::timeout(GRACE, async {
            self.ended().await;
            self.silent().await;
        })
        .await;
        self.kill();
        let _: Result<ExitStatus, _> = self.process.wait().await;
    }

    fn kill(&mut self) {
        // Not waited for yet, so the number is still its own.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the last lines.
async fn keep(from: impl AsyncRead + Unpin, tail: Arc<Mutex<VecDeque<String>>>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        let (used, whole) = match from.fill_buf().await {
            Ok([]) | Err(_) => (0, true),
            Ok(bytes) => match bytes.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    line.extend_from_slice(&bytes[..end]);
                    (end + 1, true)
                }
                None => {
                    line.extend_from_slice(bytes);
                    (bytes.len(), false)
                }
            },
        };
        from.consume(used);
        line.truncate(LINE_BYTES);
        if whole && !line.is_empty() {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.push_back(String::from_utf8_lossy(&line).into_owned());
            while tail.len() > TAIL {
                tail.pop_front();
            }
        }
        if whole {
            line.clear();
        }
        if used == 0 {
            return;
        }
    }
}
