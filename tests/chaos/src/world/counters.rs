use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;

/// What services count, as `/metrics` tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counters {
    /// Outcomes that took effect.
    pub(crate) commits: u64,
    /// Deliveries whose outcome had taken effect before.
    pub(crate) duplicates: u64,
    /// Attempts that failed or vanished.
    pub(crate) retries: u64,
    /// Commits that found that something was written about the flow since.
    pub(crate) fences_lost: u64,
}

impl Counters {
    /// Reads Prometheus' text format, every label of a name together.
    pub(crate) fn read(metrics: &str) -> Self {
        let total = |name: &str| {
            let lines = metrics.lines().filter(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            });
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            // Counters are whole numbers, far below what a float holds exactly.
            values.sum::<f64>() as u64
        };
        Self {
            commits: total("laban_commits_total"),
            duplicates: total("laban_duplicates_total"),
            retries: total("laban_retries_total"),
            fences_lost: total("laban_fences_lost_total"),
        }
    }
}

impl Add for Counters {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            commits: self.commits + other.commits,
            duplicates: self.duplicates + other.duplicates,
            retries: self.retries + other.retries,
            fences_lost: self.fences_lost + other.fences_lost,
        }
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_up_and_longer_names_are_others() {
        let metrics = "\
# TYPE laban_commits_total counter
laban_commits_total{laban_handler=\"charge\"} 3
laban_commits_total{laban_handler=\"refund\"} 4
laban_commits_total_of_others{laban_handler=\"refund\"} 100
laban_fences_lost_total 2
";
        let read = Counters::read(metrics);
        assert_eq!(read, Counters { commits: 7, fences_lost: 2, ..Counters::default() });
    }
}
