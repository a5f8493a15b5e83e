//! Several streams as one, in causal order: without a broker, and without waiting.

use std::collections::{HashMap, VecDeque};

use laban_wire::EventId;
use time::OffsetDateTime;

/// How many records of a stream are looked at before any of them is given out.
const LOOK_AHEAD: usize = 2_048;
/// The same in bytes of their bodies: fewer where they are large.
const LOOK_AHEAD_BYTES: usize = 4 << 20;

/// What the order is made of.
pub(super) trait Entry {
    /// The broker's timestamp.
    fn at(&self) -> OffsetDateTime;
    /// The size of its body.
    fn bytes(&self) -> usize;
    /// The id by which others name it as their cause; nothing if none can.
    fn id(&self) -> Option<EventId>;
    /// The id of its cause.
    fn cause(&self) -> Option<EventId>;
}

/// One stream's entries, as far as they are known.
#[derive(Debug)]
struct Lane<T> {
    ahead: VecDeque<T>,
    bytes: usize,
    ended: bool,
}

/// Gives out the entries of each lane in their order, by timestamp across lanes, but none before its cause if that is among the
/// entries that are looked at.
#[derive(Debug)]
pub(super) struct Merge<T> {
    lanes: Vec<Lane<T>>,
    /// Where what may be a cause waits. What is not here has been given out, or is not known of.
    waiting: HashMap<EventId, usize>,
    look_ahead: usize,
}

impl<T: Entry> Merge<T> {
    pub(super) fn new(lanes: usize) -> Self {
        Self::with_look_ahead(lanes, LOOK_AHEAD)
    }

    fn with_look_ahead(lanes: usize, look_ahead: usize) -> Self {
        let lane = || Lane { ahead: VecDeque::new(), bytes: 0, ended: false };
        // One stream has an order of its own.
        let look_ahead = if lanes == 1 { 1 } else { look_ahead };
        Self {
            lanes: std::iter::repeat_with(lane).take(lanes).collect(),
            waiting: HashMap::new(),
            look_ahead,
        }
    }

    /// A lane of which too little is known to give anything out.
    pub(super) fn hungry(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| {
            !lane.ended
                && (lane.ahead.is_empty()
                    || (lane.ahead.len() < self.look_ahead && lane.bytes < LOOK_AHEAD_BYTES))
        })
    }

    /// What comes next in a lane.
    pub(super) fn add(&mut self, lane: usize, entries: impl IntoIterator<Item = T>) {
        for entry in entries {
            if self.look_ahead > 1
                && let Some(id) = entry.id()
            {
                // An event that was stored twice has happened the first time.
                self.waiting.entry(id).or_insert(lane);
            }
            self.lanes[lane].bytes += entry.bytes();
            self.lanes[lane].ahead.push_back(entry);
        }
    }

    /// There is no more in this lane.
    pub(super) fn end(&mut self, lane: usize) {
        self.lanes[lane].ended = true;
    }

    /// The next entry; nothing when all lanes are empty. Not to be asked for while a lane is hungry.
    pub(super) fn take(&mut self) -> Option<T> {
        let lane = self.next_lane()?;
        let entry = self.lanes[lane].ahead.pop_front()?;
        self.lanes[lane].bytes -= entry.bytes();
        if let Some(id) = entry.id()
            && self.waiting.get(&id) == Some(&lane)
        {
            self.waiting.remove(&id);
        }
        Some(entry)
    }

    /// The earliest lane; or the one that its head waits for, or the one that that one's head waits for, and so on.
    fn next_lane(&self) -> Option<usize> {
        let heads =
            self.lanes.iter().enumerate().filter_map(|(lane, one)| Some((one.ahead.front()?.at(), lane)));
        let (_, earliest) = heads.min()?;
        let mut lane = earliest;
        // No chain of waiting is longer than there are lanes, unless ids were forged to wait for each other.
        for _ in 0..self.lanes.len() {
            match self.waits_for(lane) {
                None => return Some(lane),
                Some(other) => lane = other,
            }
        }
        Some(earliest)
    }

    /// The other lane in which the cause of this one's head waits.
    fn waits_for(&self, lane: usize) -> Option<usize> {
        let cause = self.lanes[lane].ahead.front()?.cause()?;
        self.waiting.get(&cause).copied().filter(|other| *other != lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time, id and cause, all small numbers; 0 is none.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct One(i64, u128, u128);

    impl Entry for One {
        fn at(&self) -> OffsetDateTime {
            OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(self.0)
        }

        fn bytes(&self) -> usize {
            1
        }

        fn id(&self) -> Option<EventId> {
            (self.1 > 0).then(|| id(self.1))
        }

        fn cause(&self) -> Option<EventId> {
            (self.2 > 0).then(|| id(self.2))
        }
    }

    fn id(number: u128) -> EventId {
        format!("{number:032x}").parse().unwrap()
    }

    /// The ids in the order in which they come out, each lane handed in one at a time.
    fn merged(lanes: &[&[One]], look_ahead: usize) -> Vec<u128> {
        let mut merge = Merge::with_look_ahead(lanes.len(), look_ahead);
        let mut left: Vec<_> = lanes.iter().map(|lane| lane.iter()).collect();
        let mut out = Vec::new();
        loop {
            while let Some(lane) = merge.hungry() {
                match left[lane].next() {
                    Some(one) => merge.add(lane, [*one]),
                    None => merge.end(lane),
                }
            }
            match merge.take() {
                Some(one) => out.push(one.1),
                None => break,
            }
        }
        assert!(merge.waiting.is_empty(), "nothing is remembered of what was given out");
        assert!(merge.lanes.iter().all(|lane| lane.bytes == 0));
        out
    }

    #[test]
    fn by_time_where_causes_say_nothing() {
        let (a, b) = ([One(1, 1, 0), One(3, 3, 0), One(5, 5, 0)], [One(2, 2, 0), One(4, 4, 0)]);
        assert_eq!(merged(&[&a, &b], 10), [1, 2, 3, 4, 5]);
        assert_eq!(merged(&[&b, &a], 10), [1, 2, 3, 4, 5]);
        assert_eq!(merged(&[&a, &[], &b], 1), [1, 2, 3, 4, 5]);
        // At the same time: by the lane.
        assert_eq!(merged(&[&[One(1, 7, 0)], &[One(1, 8, 0)]], 10), [7, 8]);
    }

    #[test]
    fn a_stream_keeps_its_order_whatever_its_clock_did() {
        let back = [One(9, 1, 0), One(2, 2, 0), One(3, 3, 0)];
        assert_eq!(merged(&[&back], 10), [1, 2, 3]);
        assert_eq!(merged(&[&back, &[One(5, 4, 0)]], 10), [4, 1, 2, 3]);
    }

    #[test]
    fn a_cause_comes_first_against_the_clocks() {
        // The second stream's clock is ten seconds behind: its effect seems to be before its cause.
        let (causes, effects) =
            ([One(10, 1, 0), One(11, 2, 0), One(12, 3, 0)], [One(1, 11, 2), One(4, 12, 3)]);
        assert_eq!(merged(&[&causes, &effects], 10), [1, 2, 11, 3, 12]);
        assert_eq!(merged(&[&effects, &causes], 10), [1, 2, 11, 3, 12]);
    }

    #[test]
    fn causes_of_causes_come_first_too() {
        // 3 waits for 2 behind 20, and 20 for 1 behind 10.
        let a = [One(30, 10, 0), One(31, 1, 0)];
        let b = [One(20, 20, 1), One(21, 2, 0)];
        let c = [One(1, 3, 2)];
        assert_eq!(merged(&[&a, &b, &c], 10), [10, 1, 20, 2, 3]);
        assert_eq!(merged(&[&c, &b, &a], 10), [10, 1, 20, 2, 3]);
    }

    #[test]
    fn no_further_than_the_look_ahead() {
        let far: Vec<One> = (1..=20).map(|n| One(100 + i64::try_from(n).unwrap(), n, 0)).collect();
        let effect = [One(1, 99, 20)];
        assert_eq!(merged(&[&far, &effect], 20).last(), Some(&99));
        assert_eq!(merged(&[&far, &effect], 19).first(), Some(&99));
    }

    #[test]
    fn a_cause_that_is_not_there_holds_up_nothing() {
        assert_eq!(merged(&[&[One(2, 2, 77)], &[One(1, 1, 0)]], 10), [1, 2]);
        // Its own stream's order says it all, even where the cause is behind it.
        assert_eq!(merged(&[&[One(1, 1, 2), One(2, 2, 0)], &[One(3, 3, 0)]], 10), [1, 2, 3]);
    }

    #[test]
    fn what_was_stored_twice_has_happened_the_first_time() {
        let twice = [One(5, 1, 0), One(6, 7, 0), One(7, 1, 0)];
        assert_eq!(merged(&[&twice, &[One(1, 2, 1)]], 10), [1, 2, 7, 1]);
    }

    #[test]
    fn forged_causes_that_wait_for_each_other_end() {
        let (a, b) = ([One(1, 1, 2), One(3, 3, 0)], [One(2, 2, 1)]);
        assert_eq!(merged(&[&a, &b], 10), [1, 2, 3]);
        assert_eq!(merged(&[&[One(1, 1, 1)], &[One(2, 2, 2)]], 10), [1, 2]);
    }
}
