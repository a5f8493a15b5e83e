//! Medians, percentiles, ratios.

use std::collections::BTreeMap;

use crate::report::Scenario;

/// A row: a name, and an allocator.
type Row = (&'static str, Option<&'static str>);

/// Latencies by row: a slice's percentiles are samples, those over all slices stand for the row. A slice is too short for
/// a p99 of its own to mean much.
#[derive(Debug, Default)]
pub(crate) struct Slices(BTreeMap<Row, Vec<f64>>);

impl Slices {
    /// One slice, in milliseconds, into the measures `p50_ms` and `p99_ms`.
    pub(crate) fn add(&mut self, scenario: &mut Scenario, row: Row, millis: Vec<f64>) {
        for (measure, percent) in Self::MEASURES {
            if let Some(value) = percentile(&millis, percent) {
                scenario.sample(measure, row.0, row.1, value);
            }
        }
        self.0.entry(row).or_default().extend(millis);
    }

    /// All slices are there.
    pub(crate) fn pool(&self, scenario: &mut Scenario) {
        for (row, millis) in &self.0 {
            for (measure, percent) in Self::MEASURES {
                if let Some(value) = percentile(millis, percent) {
                    scenario.figure(measure, row.0, row.1, value);
                }
            }
        }
    }

    const MEASURES: [(&'static str, f64); 2] = [("p50_ms", 50.0), ("p99_ms", 99.0)];
}

/// The middle of all values; between the two middle ones when their number is even. None of none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The smallest value that at least `percent` of all values do not exceed (nearest rank). None of none.
pub(crate) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let sorted = sorted(values);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// The smallest and the largest.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let sorted = sorted(values);
    Some((*sorted.first()?, *sorted.last()?))
}

/// Each value by the one of the same round; as many as both have.
pub(crate) fn paired_ratios(values: &[f64], base: &[f64]) -> Vec<f64> {
    values.iter().zip(base).filter(|(_, base)| **base != 0.0).map(|(value, base)| value / base).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50.0), Some(50.0));
        assert_eq!(percentile(&hundred, 99.0), Some(99.0));
        assert_eq!(percentile(&hundred, 100.0), Some(100.0));
        assert_eq!(percentile(&hundred, 0.0), Some(1.0));
        assert_eq!(percentile(&[7.0], 99.0), Some(7.0));
        assert_eq!(percentile(&[], 99.0), None);
    }

    #[test]
    fn ratios_are_within_a_round() {
        assert_eq!(paired_ratios(&[8.0, 9.0, 1.0], &[10.0, 9.0]), [0.8, 1.0]);
        assert_eq!(paired_ratios(&[8.0], &[0.0]), Vec::<f64>::new());
    }

    #[test]
    fn a_range_has_two_ends() {
        assert_eq!(range(&[2.0, 1.0, 3.0]), Some((1.0, 3.0)));
        assert_eq!(range(&[]), None);
    }
}
