//! A process under test, and what its log says of the steps it has come to.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use laban::FaultPoint as Point;
use laban_testkit::{Process, ProcessBuilder, Signal, wait};
use laban_tests::Outcome;
use laban_wire::error_chain;
use serde::Deserialize;

use crate::account::Account;

/// What a slow machine may need.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How soon the broker delivers again: short, because most cases wait for that.
pub(crate) const ACK_WAIT: Duration = Duration::from_millis(600);

const SIGKILL: i32 = 9;

pub(crate) struct Instance(Process);

#[derive(Deserialize)]
struct Line {
    fields: Said,
}

/// What a log line says.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    message: String,
    pub(crate) point: Option<String>,
    pub(crate) hit: Option<u64>,
    pub(crate) action: Option<String>,
}

impl Instance {
    /// Starts the small service.
    pub(crate) fn start(account: &Account, arguments: &[&str], faults: &str) -> Outcome<Self> {
        let small = Process::builder(env!("CARGO_BIN_EXE_small-service")).args(arguments);
        Self::spawn(small, faults, account.env())
    }

    /// Starts a program in an environment with nothing of the user's own.
    pub(crate) fn spawn(
        process: ProcessBuilder,
        faults: &str,
        env: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Outcome<Self> {
        let process = process
            .env_remove_prefixed(&["NATS_", "OTEL_", "LABAN_", "SHOP_"])
            .env("LABAN_FAULTS", faults)
            .env("LABAN_ACK_WAIT_MS", ACK_WAIT.as_millis().to_string())
            .env("LABAN_LOG", "json")
            .env("RUST_LOG", "info,async_nats=warn,laban::faults=debug")
            .env("OTEL_SDK_DISABLED", "true");
        let process = env.into_iter().fold(process, |process, (name, value)| process.env(name, value));
        Ok(Self(process.spawn()?))
    }

    pub(crate) fn process(&self) -> &Process {
        &self.0
    }

    /// All that it has said so far.
    pub(crate) fn said(&self) -> Vec<Said> {
        let log = std::fs::read_to_string(self.0.log_path()).unwrap_or_default();
        // The last line may be unfinished.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        lines.map(|line| line.fields).collect()
    }

    pub(crate) fn has_said(&self, message: &str) -> bool {
        self.said().iter().any(|said| said.message == message)
    }

    /// How often it has come to this step.
    pub(crate) fn count(&self, point: Point) -> usize {
        self.said().iter().filter(|said| said.point.as_deref() == Some(point.name())).count()
    }

    /// What went wrong as it was told to.
    pub(crate) fn fault(&self) -> Option<Said> {
        self.said().into_iter().find(|said| said.message == "fault")
    }

    /// Waits for a condition; one that never comes is told with the log.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFnMut() -> bool) -> Outcome {
        match wait::until(what, PATIENCE, condition).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.told(&error_chain(&error))),
        }
    }

    /// Why a test fails, with what this process has said.
    pub(crate) fn told(&self, why: &str) -> laban_tests::Failure {
        format!("{why}; the log of process {} ends with:\n{}", self.0.pid(), self.0.log_tail(40)).into()
    }

    /// Waits until it has met with its fault.
    pub(crate) async fn until_fault(&self) -> Outcome {
        let met = async || self.fault().is_some() || !self.0.is_running();
        self.until("the fault", met).await?;
        if self.fault().is_some() { Ok(()) } else { Err(self.told("it ended before its fault")) }
    }

    /// Waits until it is dead, of nothing but its fault.
    pub(crate) async fn until_killed(&self) -> Outcome {
        let status = self.0.wait_timeout(PATIENCE).await?;
        if status.signal() == Some(SIGKILL) {
            return Ok(());
        }
        Err(self.told(&format!("it ended with {status}")))
    }

    /// Waits until nothing is in its hands.
    pub(crate) async fn until_idle(&self) -> Outcome {
        let idle = async || self.count(Point::Received) == self.count(Point::Finished);
        self.until("all deliveries in hand to be finished", idle).await
    }

    pub(crate) fn thaw(&self) -> Outcome {
        Ok(self.0.signal(Signal::Cont)?)
    }
}
