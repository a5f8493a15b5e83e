//! The bodies of the system records: what a service writes about its own work.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::{EventId, EventType};

/// A reaction that emitted nothing into its flow.
pub const HANDLED: &str = "_handled";
/// A failed attempt that will be tried again.
pub const RETRYING: &str = "_retrying";
/// A dead letter: a handler gave up on an event.
pub const DEAD: &str = "_dead";

/// A dead letter is handed back to the handler that gave up. Written by an operator, not by the service itself.
pub const REDRIVE: &str = "_redrive";

/// A dead letter is not to be handed back: somebody looked at it, and gives it up. Written by an operator, like [`REDRIVE`].
pub const DISCARDED: &str = "_discarded";

/// All of them: what a home stream holds beside business events.
pub const SYSTEM_RECORDS: [&str; 5] = [HANDLED, RETRYING, DEAD, REDRIVE, DISCARDED];

/// Body of [`REDRIVE`]. The record's header names the dead letter's cause, event type and handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Redrive {
    /// Sequence of the dead letter in the service's home stream.
    pub dead_seq: u64,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The body that the handler gets, instead of the one that it gave up on; all else of the input stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// Body of [`REDRIVE`] where no dead letter is handed back: what has taken effect is to be done again, on purpose. The record's
/// header names the reaction, and the attempt that came to the outcome.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Again {
    /// The event that the handler is to react to once more.
    pub again: StoredAt,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// Where a message is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAt {
    /// The stream.
    pub stream: String,
    /// The sequence there.
    pub seq: u64,
}

/// What a record of the kind [`REDRIVE`] asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// To hand a dead letter back.
    HandBack(Redrive),
    /// To do again what has taken effect.
    Again(Again),
}

impl Asked {
    /// Reads the body of a [`REDRIVE`]. One that names a dead letter is about that, whatever else it says.
    ///
    /// # Errors
    /// When it is neither.
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Members {
            dead_seq: Option<IgnoredAny>,
            again: Option<IgnoredAny>,
        }
        match serde_json::from_slice(body)? {
            Members { dead_seq: None, again: Some(_) } => serde_json::from_slice(body).map(Self::Again),
            _ => serde_json::from_slice(body).map(Self::HandBack),
        }
    }
}

/// Body of [`DISCARDED`]. The record's header names the dead letter's cause, event type and handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Discarded {
    /// Sequence of the dead letter in the service's home stream.
    pub dead_seq: u64,
    /// Who decided.
    pub by: String,
    /// Why.
    pub why: String,
}

/// Body of [`HANDLED`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handled {
    /// What was handled, kept when the handler reads flow state: a later reaction may need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<StoredInput>,
}

/// An input remembered with the record of its handling.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredInput {
    /// The input's type.
    pub event: EventType,
    /// Its type's version, when it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Its body.
    pub payload: Payload,
}

/// Body of [`RETRYING`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Retrying {
    /// Which attempt failed, from 1.
    pub attempt: u32,
    /// Why.
    pub error: String,
    /// Whether the attempt vanished instead of failing: its process was killed, or hung.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vanished: bool,
    /// When the next attempt is due, by the clock of the instance that wrote this.
    #[serde(with = "time::serde::rfc3339")]
    pub next_at: OffsetDateTime,
}

/// Body of [`DEAD`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dead {
    /// What kind of end it was.
    pub reason: DeadReason,
    /// The last error, for a reader.
    pub error: String,
    /// How many attempts were made; 0 when the handler was never run.
    pub attempts: u32,
    /// The same for errors that differ only in numbers, ids and quoted values: groups dead letters.
    pub fingerprint: String,
    /// Where what had taken effect was to be done again: the [`REDRIVE`] that asked for it, from whose id those of the
    /// outputs are derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<EventId>,
    /// The input as it was received.
    pub input: DeadInput,
}

/// Why a handler gave up on an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The message is not an event: its subject or headers cannot be read.
    Unreadable,
    /// The body does not decode as the type that the handler takes, or is of a version it does not know.
    Undecodable,
    /// The handler refused the event.
    Rejected,
    /// Every attempt failed.
    Exhausted,
    /// Attempts end without an outcome: the handler kills its process, or hangs.
    Vanishing,
    /// What the handler emitted cannot be written.
    Unwritable,
}

impl DeadReason {
    /// The reason as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Undecodable => "undecodable",
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::Vanishing => "vanishing",
            Self::Unwritable => "unwritable",
        }
    }
}

/// The whole input of a dead letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadInput {
    /// Stream it was read from.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Its body; nothing when the record would have been larger than the broker takes (it is still at `stream`, `seq`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
}

/// Any body inside a JSON record, as readable as it can be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// Valid JSON, unchanged.
    Json(Box<RawValue>),
    /// Text that is not JSON.
    Text(String),
    /// Anything else, as base64.
    Base64(String),
}

impl Payload {
    /// Wraps a body.
    pub fn of(body: &[u8]) -> Self {
        match std::str::from_utf8(body) {
            Ok(text) => match serde_json::from_str(text) {
                Ok(json) => Self::Json(json),
                Err(_) => Self::Text(text.to_owned()),
            },
            Err(_) => Self::Base64(STANDARD.encode(body)),
        }
    }

    /// Whether the body can be had again: base64 may have been written by hand.
    pub(crate) fn is_decodable(&self) -> bool {
        match self {
            Self::Base64(text) => STANDARD.decode(text).is_ok(),
            Self::Json(_) | Self::Text(_) => true,
        }
    }

    /// The body again.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Json(json) => Bytes::copy_from_slice(json.get().as_bytes()),
            Self::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Self::Base64(text) => STANDARD.decode(text).unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_is_of_a_dead_letter_or_asks_for_what_took_effect() {
        let letter = Asked::read(br#"{"dead_seq": 3, "again": {"stream": "ORDER", "seq": 1}}"#).unwrap();
        assert!(matches!(letter, Asked::HandBack(Redrive { dead_seq: 3, .. })));
        let body = br#"{"again": {"stream": "ORDER", "seq": 1}, "by": "ann", "why": "lost"}"#;
        let Asked::Again(Again { again, by, why }) = Asked::read(body).unwrap() else { panic!("no letter") };
        assert_eq!(
            (again.stream.as_str(), again.seq, by.as_str(), why.as_str()),
            ("ORDER", 1, "ann", "lost")
        );
        for (wrong, said) in [
            ("{}", "missing field `dead_seq`"),
            (r#"{"again": {"stream": "ORDER", "seq": 1}, "by": "ann"}"#, "missing field `why`"),
            (r#"{"again": true, "by": "ann", "why": "lost"}"#, "invalid type"),
            ("[", "EOF"),
        ] {
            let error = Asked::read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn any_payload_round_trips_through_a_record() {
        for body in [&br#"{"a": [1, 2.50]}"#[..], b"not json", b"", b"\xff\x00"] {
            let record = Handled {
                input: Some(StoredInput {
                    event: "order.placed".parse().unwrap(),
                    version: Some(1),
                    payload: Payload::of(body),
                }),
            };
            let json = serde_json::to_vec(&record).unwrap();
            let back: Handled = serde_json::from_slice(&json).unwrap();
            assert_eq!(back.input.unwrap().payload.to_bytes(), body);
        }
    }
}
