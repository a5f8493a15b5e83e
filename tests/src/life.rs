//! A real process with one service in it.

use std::path::Path;
use std::time::Duration;

use laban_testkit::{Process, wait};

use crate::Outcome;

/// A machine that compiles something else meanwhile may take its time.
const SOON: Duration = Duration::from_secs(60);

/// A process with one service, which says what it does in its log.
#[derive(Debug)]
pub struct Life {
    process: Process,
}

impl Life {
    /// Begins one: `program` is `life-of-a-service`, `way` how it lives.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn begin(program: impl AsRef<Path>, way: &str, url: &str, patience: Duration) -> Outcome<Self> {
        let process = Process::builder(program.as_ref())
            .arg(way)
            .name(way)
            .env("NATS_URL", url)
            .env("LABAN_CONNECT_TIMEOUT_MS", patience.as_millis().to_string())
            .env("OTEL_SDK_DISABLED", "true")
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1");
        Ok(Self { process: process.spawn()? })
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// All that it said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.process.log_path()).unwrap_or_default()
    }

    /// Waits until it says this.
    ///
    /// # Errors
    /// When it ends before, or never says it.
    pub async fn until_said(&self, what: &str) -> Outcome {
        self.process.until(&format!("say {what:?}"), SOON, async || self.said().contains(what)).await?;
        Ok(())
    }

    /// Waits for its end, however it comes, and says which it was.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn ended(&self) -> Outcome<std::process::ExitStatus> {
        let ended = wait::until_some("its end", SOON, async || self.process.exit_status()).await;
        Ok(ended.map_err(|error| format!("{error}: {}", self.said()))?.0)
    }
}
