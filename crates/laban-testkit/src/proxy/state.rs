//! What a proxy was told, and how many connections it has.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Slow;

/// One for all connections, so that whoever asks for the number of connections after a cut is not told of those it cut.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Ends with each cut, and all connections with it.
    pub(super) era: u64,
    /// How many connections of this era are open.
    pub(super) open: usize,
    pub(super) refusing: bool,
    pub(super) stalled: bool,
    pub(super) slow: Option<Slow>,
    /// The proxy was dropped.
    pub(super) over: bool,
}

impl State {
    pub(super) fn cut(&mut self) {
        self.era += 1;
        self.open = 0;
    }
}

/// As long as there is one, its connection is counted.
pub(super) struct Counted {
    era: u64,
    state: Arc<watch::Sender<State>>,
}

impl Counted {
    /// `None` if the era has ended.
    pub(super) fn open(state: &Arc<watch::Sender<State>>, era: u64) -> Option<Self> {
        let counted = change_open(state, era, |open| open + 1);
        counted.then(|| Self { era, state: Arc::clone(state) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        change_open(&self.state, self.era, |open| open - 1);
    }
}

/// Wakes nobody: nobody waits for a number.
fn change_open(state: &watch::Sender<State>, era: u64, change: impl FnOnce(usize) -> usize) -> bool {
    let mut current = false;
    state.send_if_modified(|state| {
        current = state.era == era;
        if current {
            state.open = change(state.open);
        }
        false
    });
    current
}

/// Where the bytes of one direction pass, or do not.
#[derive(Clone)]
pub(super) struct Valve {
    state: watch::Receiver<State>,
}

impl Valve {
    pub(super) fn new(state: &watch::Sender<State>) -> Self {
        Self { state: state.subscribe() }
    }

    /// Waits for something to be ready while bytes flow; begins anew whenever they have stalled in between.
    pub(super) async fn pass<F: Future>(&mut self, ready: impl Fn() -> F) -> F::Output {
        loop {
            self.wait_for(|state| !state.stalled).await;
            tokio::select! {
                biased;
                () = self.wait_for(|state| state.stalled) => {}
                done = ready() => return done,
            }
        }
    }

    /// Waits for a time that depends on how slow the network is, which may change meanwhile.
    pub(super) async fn due(&mut self, at: impl Fn(Slow) -> Instant) {
        loop {
            let Some(slow) = self.state.borrow_and_update().slow else { return };
            let due = at(slow);
            if due <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(due) => return,
                _ = self.state.changed() => {}
            }
        }
    }

    /// How slow the network is.
    pub(super) fn slow(&self) -> Option<Slow> {
        self.state.borrow().slow
    }

    /// Waits until this is so.
    pub(super) async fn wait_for(&mut self, condition: impl FnMut(&State) -> bool) {
        // The one error, a sender that is gone, cannot come up: every connection holds one. What comes otherwise locks
        // the state, and must be gone before anybody goes on.
        let _ = self.state.wait_for(condition).await;
    }
}
