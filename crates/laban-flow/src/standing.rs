//! How far the consumers of declared reactions have come: what the broker knows about a reaction that left no record.

use std::collections::HashMap;

use laban_wire::EventType;
use serde::{Deserialize, Serialize};

use crate::api::ConsumerInfo;
use crate::{Awaited, Declared, Step};

/// Why a reaction is overdue, as far as the broker knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// No instance of the service asks for the event: none runs, or all are busy with others.
    NobodyAsks,
    /// Instances ask for events, and have not come to this one.
    Behind,
    /// The event was delivered, and neither acknowledged nor recorded.
    Unacknowledged,
    /// The event was acknowledged, and there is no record.
    Unrecorded,
    /// Its deadline has passed.
    DeadlinePassed,
    /// Nothing is known.
    Unknown,
}

impl Why {
    /// In words, after the name of the reaction.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NobodyAsks => "no instance asks for it",
            Self::Behind => "its instances have not come to it",
            Self::Unacknowledged => "delivered, not acknowledged",
            Self::Unrecorded => "acknowledged without a record",
            Self::DeadlinePassed => "its deadline has passed",
            Self::Unknown => "no sign of life",
        }
    }
}

/// A consumer at the time when the mesh was discovered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    delivered: u64,
    acknowledged: u64,
    unacknowledged: u64,
    asking: u64,
}

impl Standing {
    pub(crate) fn of(info: &ConsumerInfo) -> Self {
        Self {
            delivered: info.delivered.stream_seq,
            acknowledged: info.ack_floor.stream_seq,
            unacknowledged: info.num_ack_pending,
            asking: info.num_waiting,
        }
    }

    /// All events up to this sequence are acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Nothing when the event is in the hands of an instance that is alive.
    pub(crate) fn why(&self, seq: u64) -> Option<Why> {
        if seq <= self.acknowledged {
            Some(Why::Unrecorded)
        } else if seq > self.delivered {
            Some(if self.asking == 0 { Why::NobodyAsks } else { Why::Behind })
        } else if self.asking == 0 {
            Some(Why::NobodyAsks)
        } else if self.unacknowledged == 0 {
            Some(Why::Unacknowledged)
        } else {
            None
        }
    }
}

/// By service, handler and event type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standings(HashMap<(String, String, EventType), Standing>);

impl Standings {
    pub(crate) fn add(&mut self, declared: &Declared, standing: Standing) {
        let key = (declared.service.clone(), declared.handler.clone(), declared.on.clone());
        self.0.insert(key, standing);
    }

    pub(crate) fn of(&self, service: &str, handler: &str, event: &EventType) -> Option<&Standing> {
        self.0.get(&(service.to_owned(), handler.to_owned(), event.clone()))
    }

    /// Why a reaction that is overdue has left no record; nothing when it is being worked on.
    pub(crate) fn why(&self, awaited: &Awaited, cause: &Step) -> Option<Why> {
        // A deadline's consumer acknowledges when the timer is set.
        if awaited.due_at.is_some() {
            return Some(Why::DeadlinePassed);
        }
        match self.of(&awaited.service, &awaited.handler, &awaited.event) {
            Some(standing) => standing.why(cause.seq),
            None => Some(Why::Unknown),
        }
    }
}
