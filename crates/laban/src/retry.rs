use std::time::Duration;

/// How often and how soon a failed reaction is tried again: exponential backoff with jitter.
///
/// After attempt `n` the delay is drawn from the upper half of `first_delay × 2ⁿ⁻¹`, at most `max_delay`. Half of it is
/// fixed, so that a delay is never near zero; half is drawn, so that many failures at one instant do not come back at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The delay after the first attempt, before jitter.
    pub first_delay: Duration,
    /// No delay is longer.
    pub max_delay: Duration,
    /// After so many failed attempts the input becomes a dead letter.
    pub max_attempts: u32,
}

impl Default for Retry {
    /// From 200 ms up to a minute, 20 attempts: about ten minutes in all.
    fn default() -> Self {
        Self { first_delay: Duration::from_millis(200), max_delay: Duration::from_secs(60), max_attempts: 20 }
    }
}

impl Retry {
    /// Not at all: the first failure makes a dead letter.
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// When the attempt after `failed` ones is due; `None` when there is to be none.
    pub(crate) fn delay_after(&self, failed: u32) -> Option<Duration> {
        if failed >= self.max_attempts {
            return None;
        }
        let doublings = failed.saturating_sub(1).min(31);
        let full = self.first_delay.saturating_mul(1 << doublings).min(self.max_delay);
        Some(full.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_with_jitter_up_to_the_limit_and_ends() {
        let retry = Retry { max_attempts: 12, ..Retry::default() };
        for (failed, full_ms) in [(1, 200), (2, 400), (5, 3_200), (11, 60_000)] {
            let full = Duration::from_millis(full_ms);
            let delays: Vec<_> = (0..100).filter_map(|_| retry.delay_after(failed)).collect();
            assert_eq!(delays.len(), 100);
            assert!(delays.iter().all(|d| *d >= full / 2 && *d <= full), "{failed}: {delays:?}");
            assert!(delays.iter().any(|d| *d != delays[0]), "no jitter");
        }
        assert_eq!(retry.delay_after(12), None);
        assert_eq!(Retry::never().delay_after(1), None);
    }
}
