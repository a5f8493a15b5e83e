use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::period::Period;

/// A time, or a time span before now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    At(OffsetDateTime),
    Ago(Period),
}

impl Moment {
    pub(crate) fn before(self, now: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::At(at) => at,
            Self::Ago(Period(period)) => now - period,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::At(at));
        }
        let period = text.parse().map_err(|_| {
            format!(
                "`{text}` is neither a time span, such as `2h`, nor a time, such as `2026-11-26T18:00:00Z`"
            )
        })?;
        Ok(Self::Ago(period))
    }
}
