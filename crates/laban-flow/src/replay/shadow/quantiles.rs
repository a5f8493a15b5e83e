use serde::{Deserialize, Serialize};

/// How long most of them took, and nearly all, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 99 of a hundred took no longer.
    pub p99_ms: f64,
}

impl Quantiles {
    /// Nothing when there are none.
    pub(super) fn of(times: &[f32]) -> Option<Self> {
        let mut sorted = times.to_vec();
        sorted.sort_by(f32::total_cmp);
        let at = |share: f64| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            // To the microsecond, as it was measured.
            sorted.get(rank.max(1) - 1).map(|ms| (f64::from(*ms) * 1e3).round() / 1e3)
        };
        Some(Self { p50_ms: at(0.5)?, p99_ms: at(0.99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank() {
        assert_eq!(Quantiles::of(&[]), None);
        assert_eq!(Quantiles::of(&[3.25]), Some(Quantiles { p50_ms: 3.25, p99_ms: 3.25 }));
        let hundred: Vec<f32> = (1..=100).rev().map(|n| n as f32).collect();
        assert_eq!(Quantiles::of(&hundred), Some(Quantiles { p50_ms: 50.0, p99_ms: 99.0 }));
    }
}
