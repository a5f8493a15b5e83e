//! What a stream costs, and what it will cost when its retention is full.
//!
//! Two things grow with a mesh: the disk with the bytes of its events, and the broker's memory with the number of its
//! subjects, since every flow has subjects of its own in every stream that knows of it. Both stop growing once the oldest
//! records expire: at a steady rate a stream then holds what comes in within its maximum age.
//!
//! ```
//! use std::time::Duration;
//! use laban_flow::sizing::Held;
//!
//! const DAY: Duration = Duration::from_secs(86_400);
//! // A home stream of 30 days that is three days old.
//! let held = Held { messages: 300_000, bytes: 180_000_000, subjects: 290_000, age: 3 * DAY, max_age: Some(30 * DAY) };
//! let full = held.when_full().expect("it has a rate, and an end");
//! assert_eq!(full.disk_bytes, 10 * held.cost().disk_bytes);
//! assert_eq!(full.memory_bytes, 10 * held.cost().memory_bytes);
//! assert_eq!(held.a_day().expect("it has a rate").disk_bytes, held.cost().disk_bytes / 3);
//! ```
//!
//! [`Stream::held`](crate::streams::Stream::held) is where [`Held`] comes from, for each of
//! [`Stream::all`](crate::streams::Stream::all): [`Held::cost`] is what it costs now, [`Held::when_full`] what it will cost,
//! [`Held::a_day`] what a day adds, and [`Held::is_settled`] whether that means anything yet. Each is for one node that has a
//! copy.
//!
//! How the constants were measured is in *Sizing* of `docs/operations.md`, with the command that measures them again.

use std::time::Duration;

use serde::Serialize;

/// How many bytes of memory a broker at work takes for each distinct subject that a stream holds, on each node that has a copy
/// of the stream: what it needs to know of the subject, and as much again and more that Go has not collected yet. To plan
/// with.
pub const BYTES_OF_MEMORY_PER_SUBJECT: u64 = 630;

/// The same for a broker that was restarted and has collected its garbage: the least that the same history takes.
pub const BYTES_OF_MEMORY_PER_SUBJECT_AT_REST: u64 = 245;

/// How many bytes a file takes for each message beyond what the stream's own `bytes` count: indices of subjects.
pub const BYTES_OF_DISK_BEYOND_MESSAGES: u64 = 35;

/// A stream younger than this has a rate that says little about a month.
pub const SETTLED: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(86_400);

/// What a stream holds now: what the broker's own information about it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// `state.messages`.
    pub messages: u64,
    /// `state.bytes`: subjects, headers, bodies and what the broker adds to each message.
    pub bytes: u64,
    /// `state.num_subjects`.
    pub subjects: u64,
    /// How old its first message is.
    pub age: Duration,
    /// How long it keeps messages; nothing for ever.
    pub max_age: Option<Duration>,
}

/// What a stream costs each node that has a copy of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Bytes on disk, or in memory for a stream that is kept there.
    pub disk_bytes: u64,
    /// Bytes of the memory of a broker at work.
    pub memory_bytes: u64,
}

impl Held {
    /// What it costs now.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost {
            disk_bytes: self
                .bytes
                .saturating_add(self.messages.saturating_mul(BYTES_OF_DISK_BEYOND_MESSAGES)),
            memory_bytes: self.subjects.saturating_mul(BYTES_OF_MEMORY_PER_SUBJECT),
        }
    }

    /// What a day adds at the present rate, which is the mean since its first message. Nothing for an empty stream.
    #[must_use]
    pub fn a_day(&self) -> Option<Cost> {
        self.within(DAY)
    }

    /// What it will cost when it keeps as much as it may: what its maximum age brings at the present rate, and never less
    /// than now. Nothing where there is no end to it ([`a_day`](Self::a_day) says how fast it grows), or no rate yet.
    #[must_use]
    pub fn when_full(&self) -> Option<Cost> {
        let (full, now) = (self.within(self.max_age?)?, self.cost());
        Some(Cost {
            disk_bytes: full.disk_bytes.max(now.disk_bytes),
            memory_bytes: full.memory_bytes.max(now.memory_bytes),
        })
    }

    /// Whether it is old enough for its rate to mean something.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.age >= SETTLED
    }

    fn within(&self, time: Duration) -> Option<Cost> {
        let now = self.cost();
        let share = |bytes: u64| {
            let full = u128::from(bytes) * time.as_millis() / self.age.as_millis();
            u64::try_from(full).unwrap_or(u64::MAX)
        };
        (self.messages > 0 && self.age.as_millis() > 0)
            .then(|| Cost { disk_bytes: share(now.disk_bytes), memory_bytes: share(now.memory_bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Held =
        Held { messages: 100, bytes: 60_000, subjects: 100, age: Duration::from_secs(3_600), max_age: None };

    #[test]
    fn without_an_end_only_the_growth_is_known() {
        assert_eq!(HELD.when_full(), None);
        assert_eq!(
            HELD.a_day().map(|cost| cost.disk_bytes),
            Some(24 * (60_000 + 100 * BYTES_OF_DISK_BEYOND_MESSAGES))
        );
        assert_eq!(Held { messages: 0, ..HELD }.a_day(), None);
        assert_eq!(Held { age: Duration::ZERO, ..HELD }.a_day(), None);
    }

    #[test]
    fn a_stream_that_is_full_stays_as_it_is() {
        // The broker looks for what has expired now and then: the first message may be a little too old.
        let full = Held { max_age: Some(Duration::from_secs(3_500)), ..HELD };
        assert_eq!(full.when_full(), Some(HELD.cost()));
    }

    #[test]
    fn what_is_young_says_so_and_overflows_nowhere() {
        let young =
            Held { bytes: u64::MAX, age: Duration::from_millis(1), max_age: Some(DAY), subjects: 1, ..HELD };
        assert!(!young.is_settled() && HELD.is_settled());
        assert_eq!(young.when_full().map(|cost| cost.disk_bytes), Some(u64::MAX));
    }
}
