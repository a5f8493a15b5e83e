//! Clocks that are read from afar.

use std::time::Instant;

use time::{Duration, OffsetDateTime};

/// This program's own clock, which nobody sets meanwhile. What it says matters to nobody: others are compared by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    began: Instant,
    at: OffsetDateTime,
}

/// How far a clock is from the reference, and by how much that may be wrong: half of the time between question and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Sample {
    pub(in super::super) ahead: Duration,
    pub(in super::super) error: Duration,
}

impl Reference {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), at: OffsetDateTime::now_utc() }
    }

    /// A clock that said this, between these two moments.
    pub(super) fn sample(&self, said: OffsetDateTime, asked: Instant, heard: Instant) -> Sample {
        let at = |moment: Instant| self.at + moment.saturating_duration_since(self.began);
        let error = (at(heard) - at(asked)) / 2;
        Sample { ahead: said - (at(asked) + error), error }
    }
}

impl Sample {
    /// How far this clock is ahead of another, and by how much that may be wrong.
    pub(in super::super) fn ahead_of(self, other: Self) -> Self {
        Self { ahead: self.ahead - other.ahead, error: self.error + other.error }
    }

    /// By how much it differs at least.
    pub(in super::super) fn at_least(self) -> Duration {
        (self.ahead.abs() - self.error).max(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_answer_proves_less() {
        let reference = Reference::start();
        let asked = reference.began + std::time::Duration::from_secs(1);
        let heard = asked + std::time::Duration::from_secs(4);
        let said = reference.at + Duration::seconds(6);
        let sample = reference.sample(said, asked, heard);
        assert_eq!((sample.ahead, sample.error), (Duration::seconds(3), Duration::seconds(2)));
        assert_eq!(sample.at_least(), Duration::seconds(1));
        let other = Sample { ahead: Duration::seconds(-2), error: Duration::seconds(1) };
        assert_eq!(sample.ahead_of(other).at_least(), Duration::seconds(2));
        assert_eq!(other.ahead_of(sample).at_least(), Duration::seconds(2));
        assert_eq!(sample.ahead_of(sample).at_least(), Duration::ZERO);
    }
}
