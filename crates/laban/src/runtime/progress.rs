//! How far a reaction has come, as the records about it say.

use laban_wire::{Asked, DEAD, DISCARDED, Message, REDRIVE, RETRYING, Retrying};

/// How far a reaction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Attempts that failed, among them those that vanished; `forgiven` of them were made before the redrive that opened it
    /// again, whose sequence is `redrive`: 0 when there was none. Nothing but that redrive's own delivery may run it.
    Tried { attempts: u32, vanished: Vanished, forgiven: u32, redrive: u64 },
    /// It has taken effect. Only a redrive that asks for just that opens it again.
    Done,
    /// It was given up, with the dead letter of this sequence. Only a redrive of that one opens it again.
    Dead { attempts: u32, seq: u64 },
}

/// What is known of attempts that ended without a word, since the last redrive.
///
/// A delivery that found fewer records than deliveries before it leaves a note, and begins a run right after. What became
/// of those before it nobody knows: they may have come to a process that died before it got to them. But of a note the run
/// that follows it is known to have begun. If nothing but another note comes after it, that run has vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vanished {
    /// Notes, whether or not a run had begun.
    pub(crate) noted: u32,
    /// Runs that are known to have begun, and left nothing behind.
    pub(crate) begun: u32,
    /// Whether a note is the last record: a run has begun, and nothing was heard of it yet.
    pub(crate) open: bool,
}

impl Vanished {
    /// After another note.
    pub(crate) fn noted(self) -> Self {
        Self { noted: self.noted + 1, begun: self.begun + u32::from(self.open), open: true }
    }

    /// After an attempt that said how it failed.
    pub(crate) fn answered(self) -> Self {
        Self { open: false, ..self }
    }
}

impl Progress {
    /// Nothing is recorded.
    pub(crate) const NONE: Self = Self::Tried {
        attempts: 0,
        vanished: Vanished { noted: 0, begun: 0, open: false },
        forgiven: 0,
        redrive: 0,
    };

    /// Given up, with a dead letter that is about to be written.
    pub(crate) fn dead(attempts: u32) -> Self {
        Self::Dead { attempts, seq: 0 }
    }

    /// Whether as many attempts are recorded as there would be after another record.
    pub(crate) fn reaches(self, other: Self) -> bool {
        matches!((self, other), (Self::Tried { attempts, .. }, Self::Tried { attempts: others, .. }) if attempts >= others)
    }

    /// The redrive that opened it again, by its sequence; 0 when none did.
    pub(crate) fn redrive(self) -> u64 {
        match self {
            Self::Tried { redrive, .. } => redrive,
            Self::Done | Self::Dead { .. } => 0,
        }
    }

    /// Whether there is nothing more to do.
    pub(crate) fn is_settled(self) -> bool {
        !matches!(self, Self::Tried { .. })
    }
}

/// How far a reaction has come once this record is written.
pub(super) fn after(before: Progress, record: &Message) -> Progress {
    match (record.subject.event_type.event(), before) {
        (RETRYING, Progress::Tried { attempts, vanished, forgiven, redrive }) => {
            let gone = serde_json::from_slice::<Retrying>(&record.payload).is_ok_and(|body| body.vanished);
            let vanished = if gone { vanished.noted() } else { vanished.answered() };
            Progress::Tried { attempts: attempts + 1, vanished, forgiven, redrive }
        }
        (DEAD, _) => {
            let attempts = record.meta.reaction.as_ref().map_or(0, |reaction| reaction.attempt);
            Progress::Dead { attempts, seq: record.seq }
        }
        (REDRIVE, Progress::Dead { attempts, seq }) if redriven(record) == Some(seq) => Progress::Tried {
            attempts,
            vanished: Vanished::default(),
            forgiven: attempts,
            redrive: record.seq,
        },
        (REDRIVE, Progress::Done) if asks_again(record) => {
            // The number comes from outside, and others are counted from it.
            let attempts = record.meta.reaction.as_ref().map_or(1, |reaction| reaction.attempt);
            let attempts = attempts.min(u32::MAX / 2);
            let vanished = Vanished::default();
            Progress::Tried { attempts, vanished, forgiven: attempts, redrive: record.seq }
        }
        // A discard is for whoever reads: what was given up stays given up.
        (RETRYING | REDRIVE | DISCARDED, as_before) => as_before,
        _ => Progress::Done,
    }
}

/// The sequence of the dead letter that a redrive names.
fn redriven(record: &Message) -> Option<u64> {
    match Asked::read(&record.payload) {
        Ok(Asked::HandBack(body)) => Some(body.dead_seq),
        Ok(Asked::Again(_)) | Err(_) => None,
    }
}

/// Whether a redrive asks for what has taken effect to be done again.
fn asks_again(record: &Message) -> bool {
    matches!(Asked::read(&record.payload), Ok(Asked::Again(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_note_right_after_a_note_tells_of_a_run_that_vanished() {
        let vanished = |story: &str| {
            story.chars().fold(Vanished::default(), |vanished, record| match record {
                'n' => vanished.noted(),
                _ => vanished.answered(),
            })
        };
        for (story, begun, open) in [
            ("n", 0, true),
            ("nf", 0, false),
            ("nfnfnfnfnf", 0, false),
            ("nn", 1, true),
            ("nnf", 1, false),
            ("nnfnn", 2, true),
            ("nnnnn", 4, true),
        ] {
            let noted = story.matches('n').count() as u32;
            assert_eq!(vanished(story), Vanished { noted, begun, open }, "{story}");
        }
    }

    #[test]
    fn an_attempt_that_is_recorded_is_not_recorded_again() {
        let tried =
            |attempts| Progress::Tried { attempts, vanished: Vanished::default(), forgiven: 0, redrive: 0 };
        assert!(tried(2).reaches(tried(2)) && tried(3).reaches(tried(2)));
        assert!(
            !tried(1).reaches(tried(2))
                && !tried(9).reaches(Progress::Done)
                && !Progress::NONE.reaches(tried(1))
        );
    }
}
