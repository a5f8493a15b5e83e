use std::fmt;

use laban_wire::{DeadInput, DeadReason, EventId, EventType, FlowId, FlowReader, Message, Payload, Subject};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::{Place, letters_of};
use crate::Error;

/// An event that a handler gave up on, and what became of it. One for each reaction: that it was given up again after a
/// redrive is part of its history.
#[derive(Clone, Debug, Serialize)]
pub struct Letter {
    /// Where the dead letter is: the last one, where the handler gave up more than once.
    #[serde(rename = "letter")]
    pub place: Place,
    /// How it stands.
    pub state: Standing,
    /// The service that gave up.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// The type of the event reacted to.
    pub event: EventType,
    /// That event's id.
    pub cause: EventId,
    /// The flow.
    #[serde(serialize_with = "key")]
    pub flow: FlowId,
    /// How often it was given up.
    pub times: u32,
    /// When it was given up first, by the broker's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    /// When it was given up last, by the broker's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// What kind of end it was.
    pub reason: DeadReason,
    /// The last error.
    pub error: String,
    /// The same for errors of a kind.
    pub fingerprint: String,
    /// How many attempts were made in all.
    pub attempts: u32,
    /// The trace of the last run: 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// What the handler got, the last time.
    pub input: DeadInput,
    /// All that is recorded of the reaction, oldest first.
    pub history: Vec<Entry>,
    /// The last of the service's records about the flow: who writes under this fence knows all that there is.
    #[serde(skip)]
    pub last_seq: u64,
}

fn key<S: Serializer>(flow: &FlowId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&flow.key())
}

/// How a dead letter stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// Nobody has decided anything.
    Open,
    /// It was handed back, and given up again.
    FailedAgain,
    /// It was handed back, and nothing has come of it yet.
    Redriven,
    /// It was handed back, and has taken effect.
    Succeeded,
    /// It is not to be handed back.
    Discarded,
}

impl Standing {
    /// Whether it waits for somebody's decision.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::FailedAgain)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::FailedAgain => "failed again",
            Self::Redriven => "redriven",
            Self::Succeeded => "succeeded",
            Self::Discarded => "discarded",
        })
    }
}

/// One record of the reaction.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its sequence in the service's home stream.
    pub seq: u64,
    /// Its id.
    pub id: EventId,
    /// The broker's timestamp.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The trace it was written in: 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// What it tells.
    #[serde(flatten)]
    pub what: What,
}

/// What a record tells of a reaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
#[non_exhaustive]
pub enum What {
    /// An attempt failed.
    Failed {
        /// Which one, from 1.
        attempt: u32,
        /// Why.
        error: String,
    },
    /// The handler gave up.
    GivenUp {
        /// What kind of end it was.
        reason: DeadReason,
        /// The last error.
        error: String,
        /// The same for errors of a kind.
        fingerprint: String,
        /// How many attempts were made in all.
        attempts: u32,
    },
    /// Somebody handed it back.
    HandedBack {
        /// The dead letter's sequence.
        dead_seq: u64,
        /// Who.
        by: Option<String>,
        /// Why.
        why: Option<String>,
        /// The body that the handler gets instead.
        payload: Option<Payload>,
        /// It came to nothing: somebody else was first, or it names another dead letter.
        absorbed: bool,
    },
    /// Somebody asked for what had taken effect to be done again.
    Again {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// It came to nothing: it had not taken effect, or somebody else was first.
        absorbed: bool,
    },
    /// Somebody discarded it.
    Discarded {
        /// The dead letter's sequence.
        dead_seq: u64,
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// It came to nothing: somebody else was first, or it names another dead letter.
        absorbed: bool,
    },
    /// It has taken effect.
    TookEffect {
        /// `<service>.<event>`: what was emitted, or `_handled`.
        event: String,
        /// Which attempt it was, from 1.
        attempt: u32,
    },
}

impl Letter {
    /// Reads it again, from any replica; nothing when its records are gone.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn refreshed(&self, reader: &FlowReader) -> Result<Option<Self>, Error> {
        let found = reader.any_replica(&self.place.stream, &self.records(), 1).await?;
        Ok(self.among(found))
    }

    /// Reads it again, from the stream's leader: nothing newer is missing.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn refreshed_by_leader(&self, reader: &FlowReader) -> Result<Option<Self>, Error> {
        let found = reader.leader(&self.place.stream, &self.records(), 1).await?;
        Ok(self.among(found))
    }

    fn among(&self, found: Vec<laban_wire::Stored>) -> Option<Self> {
        letters_of(found).into_iter().find(|one| one.cause == self.cause && one.handler == self.handler)
    }

    /// The subject filter of all that its service recorded about the flow.
    pub fn records(&self) -> String {
        Subject::all_of(&self.service, &self.flow)
    }

    /// The last decision about it that was not absorbed, in words; nothing when there is none.
    pub fn decision(&self) -> Option<String> {
        self.history.iter().rev().find_map(|entry| match &entry.what {
            What::HandedBack { absorbed: true, .. } | What::Discarded { absorbed: true, .. } => None,
            What::HandedBack { .. } | What::Discarded { .. } => Some(entry.what.to_string()),
            _ => None,
        })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let absorbed = |absorbed: bool| if absorbed { "; absorbed, for that was settled" } else { "" };
        match self {
            Self::Failed { attempt, error } => write!(f, "attempt {attempt} failed: {error}"),
            Self::GivenUp { reason, error, attempts, .. } => {
                let all =
                    if *attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") };
                write!(f, "given up after {all}, {}: {error}", reason.as_str())
            }
            Self::HandedBack { by, why, payload, absorbed: nothing, .. } => {
                let how = if payload.is_some() { " with another body" } else { "" };
                let by = by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
                let why = why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                write!(f, "handed back{how}{by}{why}{}", absorbed(*nothing))
            }
            Self::Again { by, why, absorbed: nothing } => {
                let nothing = if *nothing { "; absorbed, for it had not taken effect" } else { "" };
                write!(f, "to be done again, asked for by {by}: {why}{nothing}")
            }
            Self::Discarded { by, why, absorbed: nothing, .. } => {
                write!(f, "discarded by {by}: {why}{}", absorbed(*nothing))
            }
            Self::TookEffect { event, attempt } => write!(f, "took effect at attempt {attempt}: {event}"),
        }
    }
}

/// The trace that a record was written in.
pub(super) fn trace_of(message: &Message) -> Option<String> {
    message.trace.map(|trace| format!("{:032x}", trace.trace_id))
}
