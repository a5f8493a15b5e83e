use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How much later than a child this process may learn of the same Ctrl-C.
const LATER: Duration = Duration::from_millis(300);

/// The ways to be asked to end: Ctrl-C, `SIGTERM`, the terminal gone.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on: none of them ends the process by itself any more.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Whether one came just now.
    pub async fn came_meanwhile(&mut self) -> bool {
        tokio::time::timeout(LATER, self.next()).await.is_ok()
    }
}
