use laban_wire::{DeadReason, EventType, FlowId};
use time::OffsetDateTime;

use super::{Letter, Place, Standing};

/// Which dead letters are looked for; all of these must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// In one of these states; in any when it is empty.
    pub states: Vec<Standing>,
    /// This service gave up.
    pub service: Option<String>,
    /// This handler gave up.
    pub handler: Option<String>,
    /// Errors of this kind.
    pub fingerprint: Option<String>,
    /// This kind of end.
    pub reason: Option<DeadReason>,
    /// Reactions to events of this type.
    pub event: Option<EventType>,
    /// Of this flow.
    pub flow: Option<FlowId>,
    /// Given up not earlier; the last time, where it was more than once.
    pub since: Option<OffsetDateTime>,
    /// Given up earlier.
    pub until: Option<OffsetDateTime>,
    /// After this place, in the order of streams and sequences.
    pub after: Option<Place>,
}

impl Query {
    /// Whether the letter is one of those meant, whatever its state.
    pub(super) fn wants(&self, letter: &Letter) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|one| one == found);
        same(&self.service, &letter.service)
            && same(&self.handler, &letter.handler)
            && same(&self.fingerprint, &letter.fingerprint)
            && self.reason.is_none_or(|reason| reason == letter.reason)
            && self.event.as_ref().is_none_or(|event| *event == letter.event)
            && self.flow.as_ref().is_none_or(|flow| *flow == letter.flow)
            && self.since.is_none_or(|since| letter.last_at >= since)
            && self.until.is_none_or(|until| letter.last_at < until)
    }

    pub(super) fn wants_state(&self, state: Standing) -> bool {
        self.states.is_empty() || self.states.contains(&state)
    }
}
