use std::str::FromStr;
use std::time::Duration;

/// A time span as it is typed: `30s`, `1.5h`, `250ms`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period(pub(crate) Duration);

const UNITS: [(&str, f64); 5] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
/// More would leave the calendar.
const LONGEST: f64 = 1e9;

impl Period {
    /// Roughly this time, in words.
    pub(crate) fn text(period: Duration) -> String {
        laban_flow::words::duration(period.as_secs_f64() * 1e3)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time span: a number and one of ms, s, m, h, d, such as `30s`");
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, unit) = text.split_at(end);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        match number * seconds {
            all if all <= LONGEST => Ok(Self(Duration::from_secs_f64(all))),
            _ => Err(format!("`{text}` is too long")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        let seconds = |text: &str| text.parse::<Period>().map(|period| period.0.as_secs_f64());
        assert_eq!(seconds("250ms"), Ok(0.25));
        assert_eq!(seconds("30s"), Ok(30.0));
        assert_eq!(seconds("1.5h"), Ok(5_400.0));
        for wrong in ["", "30", "s", "-1s", "1 s", "1w", "1.2.3s", "99999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
