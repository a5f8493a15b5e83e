//! Signs of life: the broker is told now and then which deliveries are still being worked on, so that it does not hand
//! them to somebody else.
//!
//! One task looks after all deliveries. A timer for each would cost more than the rest of its bookkeeping.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slab::Slab;

use super::delivery::Answers;

/// The deliveries that are being worked on.
#[derive(Default)]
pub(crate) struct Vigil {
    hands: Mutex<Slab<InHand>>,
}

struct InHand {
    answers: Answers,
    /// Whether it was there at the last round.
    seen: bool,
}

/// Ends the vigil over one delivery when it is dropped.
pub(crate) struct Watched<'a> {
    vigil: &'a Vigil,
    key: usize,
}

impl Vigil {
    /// Gives signs of life for a delivery until the guard is dropped.
    pub(crate) fn watch(&self, answers: &Answers) -> Watched<'_> {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hands.insert(InHand { answers: answers.clone(), seen: false });
        Watched { vigil: self, key }
    }

    /// Starts the rounds, which end when nobody holds the vigil any more. A delivery gives its first sign of life between
    /// one and two rounds after it came.
    pub(crate) fn keep(self: &Arc<Self>, every: Duration) {
        let vigil = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                #[cfg(feature = "faults")]
                if super::faults::is_paused() {
                    continue;
                }
                let Some(due) = vigil.upgrade().map(|vigil| vigil.round()) else { return };
                for answers in due {
                    answers.in_progress().await;
                }
            }
        });
    }

    /// Those that have been there for a round at least.
    fn round(&self) -> Vec<Answers> {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        let due = hands
            .iter_mut()
            .filter_map(|(_, hand)| std::mem::replace(&mut hand.seen, true).then(|| hand.answers.clone()));
        due.collect()
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.vigil.hands.lock().unwrap_or_else(PoisonError::into_inner).try_remove(self.key);
    }
}
