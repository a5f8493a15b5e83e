use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

/// How fast history is played: so many times as fast as it went, or as fast as it can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Speed {
    Times(f64),
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err(format!("`{text}` is no speed: a number such as `1`, `0.5` or `10`, or `max`")),
        }
    }
}

/// Shorter waits are not worth a timer.
const SHORTEST: Duration = Duration::from_millis(1);
/// Who is further behind than this, because of a slow reader, does not hurry to catch up.
const BEHIND: Duration = Duration::from_secs(1);

/// When each record is due.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Speed,
    max_gap: Duration,
    /// The time of the latest record, by the broker's clock, and when it was due.
    before: Option<(OffsetDateTime, Instant)>,
}

/// A wait before a record.
#[derive(Debug, PartialEq)]
pub(super) struct Wait {
    pub(super) until: Instant,
    /// How long nothing happened, where that is cut short.
    pub(super) cut: Option<Duration>,
}

impl Pace {
    pub(super) fn new(speed: Speed, max_gap: Duration) -> Self {
        Self { speed, max_gap, before: None }
    }

    /// What to wait for before a record of this time.
    pub(super) fn wait(&mut self, at: OffsetDateTime, now: impl FnOnce() -> Instant) -> Option<Wait> {
        let Speed::Times(times) = self.speed else { return None };
        let now = now();
        let Some((before, due)) = self.before else {
            self.before = Some((at, now));
            return None;
        };
        // Clocks of several brokers, or a cause that comes first against them: no time passes.
        let gap = Duration::try_from(at - before).unwrap_or_default();
        let scaled = Duration::try_from_secs_f64(gap.as_secs_f64() / times).unwrap_or(Duration::MAX);
        let until = due + scaled.min(self.max_gap);
        let until = if now.saturating_duration_since(until) > BEHIND { now } else { until };
        self.before = Some((at.max(before), until));
        let cut = (scaled > self.max_gap).then_some(gap);
        (cut.is_some() || until.saturating_duration_since(now) >= SHORTEST).then_some(Wait { until, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        let speed = |text: &str| text.parse::<Speed>();
        assert_eq!((speed("1"), speed("10x")), (Ok(Speed::Times(1.0)), Ok(Speed::Times(10.0))));
        assert_eq!((speed("0.5"), speed("max")), (Ok(Speed::Times(0.5)), Ok(Speed::Max)));
        for wrong in ["", "0", "-1", "x", "inf", "NaN", "fast"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }

    /// The waits in milliseconds after the first record, when each of them is waited for, and whether they were cut.
    fn waits(speed: Speed, at_ms: &[i64]) -> Vec<(u128, Option<u128>)> {
        let mut pace = Pace::new(speed, Duration::from_secs(2));
        let start = Instant::now();
        let (mut now, mut waits) = (start, Vec::new());
        for at in at_ms {
            let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(*at);
            if let Some(wait) = pace.wait(at, || now) {
                now = now.max(wait.until);
                waits.push(((wait.until - start).as_millis(), wait.cut.map(|cut| cut.as_millis())));
            }
        }
        waits
    }

    #[test]
    fn gaps_are_kept_at_speed_and_cut_where_nothing_happens() {
        assert_eq!(waits(Speed::Times(1.0), &[0, 100, 100, 300]), [(100, None), (300, None)]);
        assert_eq!(waits(Speed::Times(10.0), &[0, 100, 300]), [(10, None), (30, None)]);
        assert_eq!(waits(Speed::Times(0.5), &[0, 100]), [(200, None)]);
        assert_eq!(
            waits(Speed::Times(1.0), &[0, 3_600_000, 3_600_010]),
            [(2_000, Some(3_600_000)), (2_010, None)]
        );
        // Ten times as fast, an idle 30 s are 3 s.
        assert_eq!(waits(Speed::Times(10.0), &[0, 15_000, 45_000]), [(1_500, None), (3_500, Some(30_000))]);
        assert_eq!(waits(Speed::Max, &[0, 3_600_000]), []);
    }

    #[test]
    fn a_clock_that_goes_back_costs_no_time_and_gains_none() {
        assert_eq!(waits(Speed::Times(1.0), &[0, 100, 40, 100, 150]), [(100, None), (150, None)]);
    }

    #[test]
    fn who_was_held_up_goes_on_at_speed() {
        let mut pace = Pace::new(Speed::Times(1.0), Duration::from_secs(2));
        let at = |ms| OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms);
        let start = Instant::now();
        assert_eq!(pace.wait(at(0), || start), None);
        // The reader took ten seconds for the first line.
        let late = start + Duration::from_secs(10);
        assert_eq!(pace.wait(at(100), || late), None);
        assert_eq!(
            pace.wait(at(300), || late),
            Some(Wait { until: late + Duration::from_millis(200), cut: None })
        );
    }
}
