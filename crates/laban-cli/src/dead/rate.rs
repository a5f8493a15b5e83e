use std::str::FromStr;
use std::time::Duration;

/// How often something may be done: `50/s`, `10/m`, `1000/h`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate(f64);

impl Rate {
    /// The time from one to the next.
    pub(super) fn pause(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is no rate: a number a second, minute or hour, such as `50/s` or `10/m`");
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(wrong()),
        };
        let rate = number / seconds;
        // Once a day is as slow as makes sense, a million a second faster than anything.
        if rate.is_finite() && (1.0 / 86_400.0..=1e6).contains(&rate) { Ok(Self(rate)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_a_unit_of_time() {
        let pause = |text: &str| text.parse::<Rate>().map(|rate| rate.pause().as_secs_f64());
        assert_eq!(pause("50/s"), Ok(0.02));
        assert_eq!(pause("4"), Ok(0.25));
        assert_eq!(pause("10/m"), Ok(6.0));
        for wrong in ["", "0/s", "-1/s", "50/d", "x/s", "inf/s", "NaN", "1/s/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
