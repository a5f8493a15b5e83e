use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in milliseconds with microsecond precision: `3.108` on the wire and in JSON.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(f64);

impl Millis {
    /// The number of milliseconds.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl Millis {
    /// Appends the number: at most three decimals, no trailing zeros.
    pub(crate) fn push_to(self, text: &mut String) {
        // A float that is too large for the number becomes the largest one; more than 500,000 years.
        let micros = (self.0 * 1e3).round() as u64;
        text.push_str(itoa::Buffer::new().format(micros / 1000));
        let mut decimals = micros % 1000;
        if decimals == 0 {
            return;
        }
        text.push('.');
        let mut digit = 100;
        while decimals > 0 {
            text.push(char::from(b'0' + (decimals / digit) as u8));
            decimals %= digit;
            digit /= 10;
        }
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        let micros = u32::try_from(duration.as_micros()).map_or(duration.as_secs_f64() * 1e6, f64::from);
        Self(micros / 1e3)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.push_to(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for Millis {
    type Err = std::num::ParseFloatError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number: f64 = text.parse()?;
        Ok(Self(if number.is_finite() { number.max(0.0) } else { 0.0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_exact_to_the_microsecond() {
        let text = |micros| Millis::from(Duration::from_micros(micros)).to_string();
        assert_eq!([text(0), text(412), text(3_010), text(61_000_000)], ["0", "0.412", "3.01", "61000"]);
        assert_eq!("3.108".parse::<Millis>().unwrap(), Millis::from(Duration::from_micros(3108)));
        assert_eq!("NaN".parse::<Millis>().unwrap(), Millis::default());
    }
}
