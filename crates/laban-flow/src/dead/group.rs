use std::collections::BTreeMap;

use laban_wire::DeadReason;
use serde::Serialize;
use time::OffsetDateTime;

use super::{Letter, Place, Standing};

/// Letters of more kinds than these are counted, and not told apart: memory does not grow with errors that have no kind.
pub const MOST_GROUPS: usize = 10_000;
/// So many flows of a group are named.
const FLOWS: usize = 3;

/// Dead letters of one handler with errors of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// The service that gave up.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// What their errors have in common.
    pub fingerprint: String,
    /// How many there are.
    pub count: u64,
    /// How many there are in each state.
    pub states: BTreeMap<Standing, u64>,
    /// When the first was given up first, by the broker's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    /// When the last was given up last, by the broker's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub last_at: OffsetDateTime,
    /// What kind of end the last one was.
    pub reason: DeadReason,
    /// The error of the last one.
    pub error: String,
    /// Where the last one is.
    pub letter: Place,
    /// Some of the flows.
    pub flows: Vec<String>,
}

/// Dead letters by service, handler and fingerprint.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    groups: BTreeMap<(String, String, String), Group>,
    all: u64,
    beyond: u64,
}

impl Groups {
    /// Counts a letter.
    pub fn add(&mut self, letter: &Letter) {
        self.all += 1;
        let key = (letter.service.clone(), letter.handler.clone(), letter.fingerprint.clone());
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let group = self.groups.entry(key).or_insert_with(|| Group {
            service: letter.service.clone(),
            handler: letter.handler.clone(),
            fingerprint: letter.fingerprint.clone(),
            count: 0,
            states: BTreeMap::new(),
            first_at: letter.first_at,
            last_at: letter.last_at,
            reason: letter.reason,
            error: letter.error.clone(),
            letter: letter.place.clone(),
            flows: Vec::new(),
        });
        group.count += 1;
        *group.states.entry(letter.state).or_default() += 1;
        group.first_at = group.first_at.min(letter.first_at);
        if letter.last_at >= group.last_at {
            group.last_at = letter.last_at;
            group.reason = letter.reason;
            group.error.clone_from(&letter.error);
            group.letter = letter.place.clone();
        }
        let flow = letter.flow.key();
        if group.flows.len() < FLOWS && !group.flows.contains(&flow) {
            group.flows.push(flow);
        }
    }

    /// How many letters were counted.
    pub fn all(&self) -> u64 {
        self.all
    }

    /// How many letters were of [one kind too many](MOST_GROUPS).
    pub fn beyond(&self) -> u64 {
        self.beyond
    }

    /// The groups, the largest first.
    pub fn into_sorted(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}
