use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher};
use std::sync::Arc;

use laban_wire::{DEAD, HANDLED, REDRIVE, RETRYING};
use time::OffsetDateTime;

use super::Record;

/// Flows are told from each other up to this many: each takes some bytes.
const MOST_FLOWS: usize = 1_000_000;

/// What has been replayed.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// All of it.
    pub all: Count,
    /// By the service that wrote it.
    pub services: BTreeMap<String, Count>,
    /// The earliest of the records' timestamps, by the broker's clocks.
    pub first: Option<OffsetDateTime>,
    /// The latest of them.
    pub last: Option<OffsetDateTime>,
    flows: HashSet<u64, BuildHasherDefault<Hashed>>,
    more_flows: bool,
}

/// What is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Records by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All records.
    pub records: u64,
    /// Business events.
    pub events: u64,
    /// Reactions that emitted nothing.
    pub handled: u64,
    /// Failed attempts.
    pub retrying: u64,
    /// Dead letters.
    pub dead: u64,
    /// Dead letters that were handed back.
    pub redriven: u64,
    /// Messages that cannot be understood.
    pub unreadable: u64,
}

/// What a record counts as.
#[derive(Clone, Debug)]
pub struct Tally {
    at: OffsetDateTime,
    service: Arc<str>,
    kind: Kind,
    /// A hash of its flow.
    flow: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Event,
    Handled,
    Retrying,
    Dead,
    Redrive,
    Unreadable,
    /// Of a later release: counted as a record alone.
    Other,
}

impl Record {
    /// What it counts as.
    pub fn tally(&self) -> Tally {
        let (kind, flow) = match &self.message {
            Err(_) => (Kind::Unreadable, None),
            Ok(message) => {
                let kind = match message.subject.event_type.event() {
                    HANDLED => Kind::Handled,
                    RETRYING => Kind::Retrying,
                    DEAD => Kind::Dead,
                    REDRIVE => Kind::Redrive,
                    _ if message.subject.event_type.is_system() => Kind::Other,
                    _ => Kind::Event,
                };
                let mut hasher = DefaultHasher::new();
                message.subject.flow.token().hash(&mut hasher);
                (kind, Some(hasher.finish()))
            }
        };
        Tally { at: self.stored.at, service: Arc::clone(&self.service), kind, flow }
    }
}

impl Tally {
    /// The broker's timestamp.
    pub fn at(&self) -> OffsetDateTime {
        self.at
    }
}

impl Totals {
    /// Counts one more record.
    pub fn add(&mut self, tally: &Tally) {
        let at = tally.at;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.all.add(tally.kind);
        match self.services.get_mut(&*tally.service) {
            Some(count) => count.add(tally.kind),
            None => self.services.entry(tally.service.to_string()).or_default().add(tally.kind),
        }
        match tally.flow {
            Some(flow) if self.flows.len() < MOST_FLOWS => _ = self.flows.insert(flow),
            Some(flow) => self.more_flows |= !self.flows.contains(&flow),
            None => {}
        }
    }

    /// How many flows the records are of, and whether there are more than that: the first million is told from each other.
    pub fn flows(&self) -> (usize, bool) {
        (self.flows.len(), self.more_flows)
    }
}

impl Count {
    fn add(&mut self, kind: Kind) {
        self.records += 1;
        match kind {
            Kind::Event => self.events += 1,
            Kind::Handled => self.handled += 1,
            Kind::Retrying => self.retrying += 1,
            Kind::Dead => self.dead += 1,
            Kind::Redrive => self.redriven += 1,
            Kind::Unreadable => self.unreadable += 1,
            Kind::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::*;

    #[test]
    fn each_kind_by_service_and_each_flow_once() {
        let mut totals = Totals::default();
        let header = "id=0199f3c2-0000-7000-8000-000000000002 cause=0199f3c2-0000-7000-8000-000000000001 \
                      on=order.placed handler=charge";
        for subject in ["order.placed.1", "order.placed.2"] {
            totals.add(&record(subject, &[], b"{}").tally());
        }
        for event in ["captured", "_handled", "_retrying", "_retrying", "_dead", "_redrive", "_later"] {
            totals.add(&record(&format!("payment.{event}.1"), &[("Laban", header)], b"{}").tally());
        }
        totals.add(&record("payment.captured.3", &[("Laban", "x")], b"{}").tally());
        let order = Count { records: 2, events: 2, ..Count::default() };
        let payment =
            Count { records: 8, events: 1, handled: 1, retrying: 2, dead: 1, redriven: 1, unreadable: 1 };
        let services = [("order".to_owned(), order), ("payment".to_owned(), payment)];
        assert_eq!(totals.services.clone().into_iter().collect::<Vec<_>>(), services);
        assert_eq!((totals.all.records, totals.all.events, totals.flows()), (10, 3, (2, false)));
        assert_eq!(totals.first, totals.last);
    }
}
