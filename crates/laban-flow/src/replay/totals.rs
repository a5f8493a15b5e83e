use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

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
    flows: HashSet<u64>,
    more_flows: bool,
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

impl Totals {
    /// Counts one more record.
    pub fn add(&mut self, record: &Record) {
        let at = record.stored.at;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        let service = match &record.message {
            Ok(message) => {
                self.add_flow(message.subject.flow.token());
                message.subject.event_type.service()
            }
            Err(_) => record.stored.subject.split('.').next().unwrap_or_default(),
        };
        if !self.services.contains_key(service) {
            self.services.insert(service.to_owned(), Count::default());
        }
        self.all.add(record);
        if let Some(count) = self.services.get_mut(service) {
            count.add(record);
        }
    }

    /// How many flows the records are of, and whether there are more than that: the first million is told from each other.
    pub fn flows(&self) -> (usize, bool) {
        (self.flows.len(), self.more_flows)
    }

    fn add_flow(&mut self, token: &str) {
        let mut hasher = DefaultHasher::new();
        token.hash(&mut hasher);
        let hash = hasher.finish();
        if self.flows.len() < MOST_FLOWS {
            self.flows.insert(hash);
        } else if !self.flows.contains(&hash) {
            self.more_flows = true;
        }
    }
}

impl Count {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        let of_its_kind = match &record.message {
            Err(_) => &mut self.unreadable,
            Ok(message) => match message.subject.event_type.event() {
                HANDLED => &mut self.handled,
                RETRYING => &mut self.retrying,
                DEAD => &mut self.dead,
                REDRIVE => &mut self.redriven,
                // A kind of a later release is counted as a record alone.
                _ if message.subject.event_type.is_system() => return,
                _ => &mut self.events,
            },
        };
        *of_its_kind += 1;
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
            totals.add(&record(subject, &[], b"{}"));
        }
        for event in ["captured", "_handled", "_retrying", "_retrying", "_dead", "_redrive", "_later"] {
            totals.add(&record(&format!("payment.{event}.1"), &[("Laban", header)], b"{}"));
        }
        totals.add(&record("payment.captured.3", &[("Laban", "x")], b"{}"));
        let order = Count { records: 2, events: 2, ..Count::default() };
        let payment =
            Count { records: 8, events: 1, handled: 1, retrying: 2, dead: 1, redriven: 1, unreadable: 1 };
        let services = [("order".to_owned(), order), ("payment".to_owned(), payment)];
        assert_eq!(totals.services.clone().into_iter().collect::<Vec<_>>(), services);
        assert_eq!((totals.all.records, totals.all.events, totals.flows()), (10, 3, (2, false)));
        assert_eq!(totals.first, totals.last);
    }
}
