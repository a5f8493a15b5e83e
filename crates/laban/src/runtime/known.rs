//! What this instance knows of one flow from its service's own records.
//!
//! It is always *complete up to a sequence*: every record of the service about the flow up to `last_seq`, none after. A
//! commit is fenced on `last_seq`, so it can only succeed when nothing was written since, that is when the knowledge it
//! rests on is complete. Knowing too little is therefore safe; it costs a lost fence and a read.

use std::sync::Arc;

use laban_wire::{DEAD, DISCARDED, EventId, Message, REDRIVE, RETRYING, Reaction, Stored};

use super::commit::Commit;
use super::delivery::Settled;
use super::progress::{Progress, after};
use crate::Record;

/// What is known of one flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The newest of the service's records about the flow; 0 when there is none.
    pub(crate) last_seq: u64,
    reactions: Vec<Noted>,
    /// The records themselves, for services with a handler that reads flow state.
    pub(crate) records: Option<Arc<Vec<Record>>>,
}

/// Whose outcome is looked for: one handler's reaction to one event. A flow's first event counts as a reaction of no
/// handler (`""`) to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cause: EventId,
    pub(crate) handler: Arc<str>,
}

impl Identity {
    /// The identity of an event without a cause.
    pub(crate) fn root(id: EventId) -> Self {
        Self { cause: id, handler: "".into() }
    }
}

#[derive(Clone, Debug)]
struct Noted {
    identity: Identity,
    progress: Progress,
}

impl Known {
    /// Nothing, which is the truth about a new flow and safe about any other.
    pub(crate) fn nothing(keep_records: bool) -> Self {
        Self { records: keep_records.then(Arc::default), ..Self::default() }
    }

    /// How far the reaction has come, as far as is known.
    pub(crate) fn progress(&self, identity: &Identity) -> Progress {
        self.reactions
            .iter()
            .find(|noted| noted.identity == *identity)
            .map_or(Progress::NONE, |noted| noted.progress)
    }

    /// How a reaction that turned out to be settled came to be so.
    pub(crate) fn settled_before(&self, identity: &Identity) -> Settled {
        match self.progress(identity) {
            Progress::Dead { .. } => Settled::DeadBefore,
            Progress::Done | Progress::Tried { .. } => Settled::Before,
        }
    }

    /// Takes in records read from the stream, oldest first. Says whether there was anything new.
    pub(crate) fn learn(&mut self, records: Vec<Stored>) -> bool {
        let before = self.last_seq;
        for stored in records {
            if stored.seq <= self.last_seq {
                continue;
            }
            self.last_seq = stored.seq;
            // What is no record of ours says nothing of our reactions; the fence counts it all the same.
            if let Ok(message) = Message::try_from(stored) {
                self.note(Arc::new(message));
            }
        }
        self.last_seq > before
    }

    /// Takes in what was just committed on this knowledge.
    pub(crate) fn wrote(&mut self, commit: &Commit, stream: &Arc<str>, first_seq: u64) {
        let drafts = &commit.drafts[..commit.in_flow];
        self.last_seq = first_seq + drafts.len() as u64 - 1;
        let becomes = match commit.becomes {
            Progress::Dead { attempts, .. } => Progress::Dead { attempts, seq: first_seq },
            other => other,
        };
        self.set(&commit.identity, becomes);
        if let (Some(records), Progress::Done) = (&mut self.records, commit.becomes) {
            let written = drafts.iter().zip(first_seq..).map(|(draft, seq)| draft.as_written(stream, seq));
            Arc::make_mut(records)
                .extend(written.filter(is_state).map(|message| Record::of(Arc::new(message))));
        }
    }

    /// Starts over.
    pub(crate) fn forget(&mut self) {
        *self = Self::nothing(self.records.is_some());
    }

    fn set(&mut self, identity: &Identity, progress: Progress) {
        match self.reactions.iter_mut().find(|noted| noted.identity == *identity) {
            Some(noted) => noted.progress = progress,
            None => {
                // Most flows see one reaction of a service, and many flows are remembered.
                self.reactions.reserve_exact(1);
                self.reactions.push(Noted { identity: identity.clone(), progress });
            }
        }
    }

    /// Takes in one record.
    fn note(&mut self, message: Arc<Message>) {
        self.last_seq = self.last_seq.max(message.seq);
        let identity = match &message.meta.reaction {
            Some(Reaction { cause, handler, .. }) => Identity { cause: *cause, handler: Arc::clone(handler) },
            None => Identity::root(message.meta.id),
        };
        let progress = after(self.progress(&identity), &message);
        self.set(&identity, progress);
        if let Some(records) = &mut self.records
            && is_state(&message)
        {
            Arc::make_mut(records).push(Record::of(message));
        }
    }
}

/// Whether a record is part of the flow's state: what was done, rather than what failed.
pub(crate) fn is_state(message: &Message) -> bool {
    !matches!(message.subject.event_type.event(), RETRYING | DEAD | REDRIVE | DISCARDED)
}

#[cfg(test)]
mod tests {
    use super::super::progress::Vanished;
    use super::*;
    use async_nats::HeaderMap;
    use laban_wire::{HEADER, Meta};

    fn stored(seq: u64, event: &str, identity: &Identity, body: &str) -> Stored {
        let meta = Meta {
            id: EventId::root(),
            version: Some(1),
            reaction: Some(Reaction {
                cause: identity.cause,
                on: "order.placed".parse().unwrap(),
                handler: Arc::clone(&identity.handler),
                attempt: 1,
                queue_ms: Default::default(),
                handle_ms: Default::default(),
            }),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, meta.to_header());
        Stored {
            stream: "PAYMENT".into(),
            seq,
            at: time::OffsetDateTime::UNIX_EPOCH,
            subject: format!("payment.{event}.4711"),
            headers,
            malformed: None,
            payload: body.to_owned().into(),
        }
    }

    #[test]
    fn attempts_are_counted_until_an_outcome() {
        let charge = Identity { cause: EventId::root(), handler: "charge".into() };
        let other = Identity { handler: "refund".into(), ..charge.clone() };
        let failed = r#"{"attempt":1,"error":"x","next_at":"2026-01-01T00:00:00Z"}"#;
        let vanished = r#"{"attempt":2,"error":"x","vanished":true,"next_at":"2026-01-01T00:00:00Z"}"#;
        let mut known = Known::nothing(false);
        assert!(
            known.learn(vec![
                stored(3, "_retrying", &charge, failed),
                stored(9, "_retrying", &charge, vanished)
            ])
        );
        let vanished = Vanished { noted: 1, begun: 0, open: true };
        assert_eq!(
            known.progress(&charge),
            Progress::Tried { attempts: 2, vanished, forgiven: 0, redrive: 0 }
        );
        assert_eq!(known.progress(&other), Progress::NONE);
        assert!(
            known.learn(vec![stored(9, "captured", &charge, "{}"), stored(12, "captured", &charge, "{}")])
        );
        assert_eq!((known.progress(&charge), known.last_seq), (Progress::Done, 12));
        assert!(!known.learn(vec![stored(12, "captured", &charge, "{}")]), "nothing new");
    }

    #[test]
    fn only_a_redrive_opens_a_dead_letter_again_and_nothing_else() {
        let charge = Identity { cause: EventId::root(), handler: "charge".into() };
        let redrive =
            |seq, dead_seq: u64| stored(seq, "_redrive", &charge, &format!(r#"{{"dead_seq":{dead_seq}}}"#));
        let mut known = Known::nothing(true);
        known.learn(vec![redrive(1, 2)]);
        assert_eq!(known.progress(&charge), Progress::NONE, "there was nothing to redrive");
        known.learn(vec![stored(2, "_dead", &charge, "{}")]);
        assert_eq!(known.progress(&charge), Progress::Dead { attempts: 1, seq: 2 });
        known.learn(vec![stored(3, "_discarded", &charge, r#"{"dead_seq":2}"#), redrive(4, 1)]);
        assert_eq!(known.progress(&charge), Progress::Dead { attempts: 1, seq: 2 }, "of another letter");
        known.learn(vec![redrive(5, 2)]);
        let vanished = Vanished::default();
        let tried = Progress::Tried { attempts: 1, vanished, forgiven: 1, redrive: 5 };
        assert_eq!(known.progress(&charge), tried, "a discard may be thought better of");
        known.learn(vec![redrive(6, 2), stored(7, "_discarded", &charge, r#"{"dead_seq":2}"#)]);
        assert_eq!(known.progress(&charge), tried, "the first redrive has it");
        known.learn(vec![stored(8, "_dead", &charge, "{}"), redrive(9, 2)]);
        assert_eq!(known.progress(&charge), Progress::Dead { attempts: 1, seq: 8 }, "that was tried before");
        known.learn(vec![redrive(10, 8), stored(11, "captured", &charge, "{}"), redrive(12, 8)]);
        assert_eq!(known.progress(&charge), Progress::Done, "what took effect is not done again");
        assert_eq!(known.records.unwrap().len(), 1, "of all that, one is part of the flow's state");
    }

    #[test]
    fn what_took_effect_is_opened_by_who_asks_for_it_to_be_done_again_and_nothing_else_is() {
        let charge = Identity { cause: EventId::root(), handler: "charge".into() };
        let again = |seq| {
            let body = r#"{"again":{"stream":"ORDER","seq":1},"by":"ann","why":"the bank lost it"}"#;
            stored(seq, "_redrive", &charge, body)
        };
        let mut known = Known::nothing(true);
        known.learn(vec![again(1)]);
        assert_eq!(known.progress(&charge), Progress::NONE, "it has not taken effect");
        let retrying = r#"{"attempt":1,"error":"closed","next_at":"2026-11-26T18:00:00Z"}"#;
        known.learn(vec![stored(2, "_retrying", &charge, retrying), again(3)]);
        assert!(matches!(known.progress(&charge), Progress::Tried { redrive: 0, .. }), "it is being tried");
        known.learn(vec![stored(4, "captured", &charge, "{}"), again(5), again(6)]);
        let vanished = Vanished::default();
        let tried = Progress::Tried { attempts: 1, vanished, forgiven: 1, redrive: 5 };
        assert_eq!(known.progress(&charge), tried, "the first of two has it");
        known.learn(vec![stored(7, "captured", &charge, "{}")]);
        assert_eq!(known.progress(&charge), Progress::Done);
        known.learn(vec![again(8), stored(9, "_dead", &charge, "{}"), again(10)]);
        assert_eq!(known.progress(&charge), Progress::Dead { attempts: 1, seq: 9 }, "that is for a redrive");
        assert_eq!(known.records.unwrap().len(), 2, "both outcomes are part of the flow's state");
    }

    #[test]
    fn a_foreign_message_moves_the_fence_only() {
        let mut known = Known::nothing(true);
        let identity = Identity { cause: EventId::root(), handler: "charge".into() };
        let mut junk = stored(5, "captured", &identity, "{}");
        junk.headers.insert(HEADER, "id=junk");
        assert!(known.learn(vec![junk]));
        assert_eq!((known.last_seq, known.progress(&identity)), (5, Progress::NONE));
    }
}
