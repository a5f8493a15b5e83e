use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;

/// How much later than a child this process may learn of the same Ctrl-C.
const LATER: Duration = Duration::from_millis(300);

/// The ways to be asked to end: Ctrl-C, `SIGTERM`, the terminal gone.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::NotDone(format!("cannot listen for signals: {e}")));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Whether one came just now.
    pub(crate) async fn came_meanwhile(&mut self) -> bool {
        tokio::time::timeout(LATER, self.next()).await.is_ok()
    }
}
