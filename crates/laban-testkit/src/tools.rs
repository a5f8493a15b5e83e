//! Finding, or getting, the real programs that tests run.
//!
//! The scripts of `deploy/local` do the work and know the versions; they are part of this library, so it works from anywhere.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use crate::Error;

const LIB: &str = include_str!("../../../deploy/local/lib.sh");

/// A program that is found or fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// The broker: `NATS_SERVER_BIN`, else the user's cache, else `PATH`; else the pinned version is fetched into the cache.
    NatsServer,
    /// Jaeger v2: `JAEGER_BIN`, else the user's cache, else `PATH`; else the pinned release if the internet or a Docker
    /// daemon answers. It is never built from source here, which takes minutes: `make jaeger` does.
    Jaeger,
    /// Prometheus 2.42 or newer, with `promtool` beside it: `PROMETHEUS_BIN`, else the user's cache, else `PATH`; else the
    /// pinned release, Debian's package or a Docker image, whichever can be reached.
    Prometheus,
}

/// What was found; failures are not kept, since they may be put right.
static NATS_SERVER: Mutex<Option<PathBuf>> = Mutex::new(None);
static JAEGER: Mutex<Option<PathBuf>> = Mutex::new(None);
static PROMETHEUS: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The path of a nats-server: see [`Tool::NatsServer`].
///
/// Blocks: for milliseconds when it is there, for seconds or a minute when it must be fetched.
///
/// # Errors
///
/// [`Error::NoTool`] with one line per source that did not serve.
pub fn nats_server() -> Result<PathBuf, Error> {
    Tool::NatsServer.find(|_| ())
}

/// The path of a Jaeger v2: see [`Tool::Jaeger`].
///
/// Blocks: for milliseconds when it is there, for seconds or a minute when it must be fetched.
///
/// # Errors
///
/// [`Error::NoTool`] with one line per source that did not serve.
pub fn jaeger() -> Result<PathBuf, Error> {
    Tool::Jaeger.find(|_| ())
}

/// The path of a Prometheus: see [`Tool::Prometheus`].
///
/// Blocks: for milliseconds when it is there, for seconds or a minute when it must be fetched.
///
/// # Errors
///
/// [`Error::NoTool`] with one line per source that did not serve.
pub fn prometheus() -> Result<PathBuf, Error> {
    Tool::Prometheus.find(|_| ())
}

impl Tool {
    /// Its path; hands every line of progress to `say` as it comes. Looks once per process.
    ///
    /// # Errors
    ///
    /// [`Error::NoTool`] with one line per source that did not serve.
    pub fn find(self, mut say: impl FnMut(&str)) -> Result<PathBuf, Error> {
        let found = match self {
            Self::NatsServer => &NATS_SERVER,
            Self::Jaeger => &JAEGER,
            Self::Prometheus => &PROMETHEUS,
        };
        // Held while fetching: the second test of a process waits for the first one's download.
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = found.as_ref() {
            return Ok(path.clone());
        }
        let path = self.run(&mut say)?;
        *found = Some(path.clone());
        Ok(path)
    }

    /// For async callers, which must not block.
    pub(crate) async fn find_async(self) -> Result<PathBuf, Error> {
        tokio::task::spawn_blocking(move || self.find(|_| ()))
            .await
            .map_err(|e| Error::io(format!("look for {}", self.name()))(e.into()))?
    }

    fn name(self) -> &'static str {
        match self {
            Self::NatsServer => "nats-server",
            Self::Jaeger => "jaeger",
            Self::Prometheus => "prometheus",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::NatsServer => include_str!("../../../deploy/local/nats-server.sh"),
            Self::Jaeger => include_str!("../../../deploy/local/jaeger.sh"),
            Self::Prometheus => include_str!("../../../deploy/local/prometheus.sh"),
        }
    }

    fn run(self, say: &mut dyn FnMut(&str)) -> Result<PathBuf, Error> {
        let dir = tempfile::Builder::new()
            .prefix("laban-tools-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        write(&dir.path().join("lib.sh"), LIB)?;
        let script = dir.path().join("tool.sh");
        write(&script, self.script())?;

        let mut child = Command::new("bash")
            .arg(&script)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Spawn { program: "bash".into(), source })?;
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                say(&line);
                said.push(line);
            }
        }
        // One line at most is left in stdout's pipe: reading it after stderr cannot block the script.
        let output = child.wait_with_output().map_err(Error::io(format!("wait for {}.sh", self.name())))?;
        let path = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        if output.status.success() && !path.is_empty() {
            return Ok(path.into());
        }
        let prefix = format!("{}: ", self.name());
        let why = said.last().map_or("it did not say why", String::as_str);
        Err(Error::NoTool {
            tool: self.name(),
            why: why.strip_prefix(&prefix).unwrap_or(why).to_owned(),
            said: said.join("\n"),
        })
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}
