//! A real process: its output in a log file, killed on drop.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempPath;
use tokio::time::{Instant, sleep};

use crate::spawn::Builder;
use crate::{Error, Signal, log, wait, watchdog};

/// How often a process is asked whether it has ended.
const POLL: Duration = Duration::from_millis(5);
/// How many lines of the log an error carries.
const TAIL: usize = 20;

/// A real process, killed on drop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), laban_testkit::Error> {
/// use std::time::Duration;
/// use laban_testkit::Process;
///
/// let process = Process::builder("sh").args(["-c", "echo hello"]).spawn()?;
/// assert!(process.wait_timeout(Duration::from_secs(10)).await?.success());
/// assert_eq!(process.log_tail(1), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
    _temporary: Option<TempPath>,
}

impl Process {
    /// Begins the description of a process.
    #[must_use]
    pub fn builder(program: impl AsRef<OsStr>) -> Builder {
        Builder::new(program.as_ref())
    }

    pub(crate) fn new(name: String, child: Child, log: PathBuf, temporary: Option<TempPath>) -> Self {
        let pid = child.id();
        watchdog::guard(pid);
        Self { name, pid, child: Mutex::new(child), log, _temporary: temporary }
    }

    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, also after its end.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Where its output goes.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last lines of its output.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        log::tail(&self.log, lines)
    }

    /// Whether it has not ended; a frozen process still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        // The one error, ECHILD, cannot come up: nobody else waits for this child.
        self.child().try_wait().ok().flatten()
    }

    /// Sends a signal; one to a process that has ended is no error, and goes nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        // Held over both calls: while it is not reaped, its id cannot become someone else's.
        let mut child = self.child();
        if child.try_wait().ok().flatten().is_some() {
            return Ok(());
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal.into())
            .map_err(|e| Error::io(format!("send {signal:?} to {}", self.name))(e.into()))
    }

    /// Waits until it does what it was started for: `condition` is asked until it says yes.
    ///
    /// `what` completes "it did not …", for example "become ready".
    ///
    /// # Errors
    ///
    /// [`Error::Exited`] as soon as the process ends instead, [`Error::Late`] after `timeout`; both with the end of its log.
    pub async fn until(
        &self,
        what: &str,
        timeout: Duration,
        mut condition: impl AsyncFnMut() -> bool,
    ) -> Result<(), Error> {
        let met =
            wait::until(what, timeout, async || self.exit_status().is_some() || condition().await).await;
        if let Some(status) = self.exit_status() {
            return Err(Error::Exited { name: self.name.clone(), status, log: self.log_tail(TAIL) });
        }
        met.map(drop).map_err(|_| self.late(what, timeout))
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] with the end of its log if it still runs after `timeout`; it is left running.
    pub async fn wait_timeout(&self, timeout: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.late("end", timeout));
            }
            sleep(POLL).await;
        }
    }

    /// Asks it to end with `SIGTERM` and waits.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] if it still runs after `grace`; it has been killed then.
    pub async fn stop(&self, grace: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::Term)?;
        let ended = self.wait_timeout(grace).await;
        if ended.is_err() {
            self.kill();
        }
        ended
    }

    /// Kills it with `SIGKILL` and waits until it is gone, which takes no time; one that has ended is left alone.
    pub fn kill(&self) {
        let mut child = self.child();
        // Both fail only on a process that is gone already.
        let _ = child.kill();
        let _ = child.wait();
        watchdog::release(self.pid);
    }

    fn late(&self, what: &str, waited: Duration) -> Error {
        Error::Late { name: self.name.clone(), what: what.to_owned(), waited, log: self.log_tail(TAIL) }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
