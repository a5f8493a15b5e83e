use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Where a record is. Written `<stream>/<sequence>`: `PAYMENT/16`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The stream.
    pub stream: String,
    /// The sequence there.
    pub seq: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.seq)
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (stream, seq) = text.split_once('/')?;
            // Home streams are named after their services, in capitals.
            let named = stream.starts_with(|c: char| c.is_ascii_uppercase())
                && stream.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-');
            let counted = seq.bytes().all(|byte| byte.is_ascii_digit());
            (named && counted).then_some(())?;
            Some(Self { stream: stream.to_owned(), seq: seq.parse().ok()? })
        };
        parse().ok_or_else(|| format!("`{text}` is no place of a record, such as `PAYMENT/16`"))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_they_are_read() {
        let place: Place = "PAYMENT-EU/16".parse().unwrap();
        assert_eq!((place.stream.as_str(), place.seq), ("PAYMENT-EU", 16));
        assert_eq!(place.to_string(), "PAYMENT-EU/16");
        for wrong in ["", "PAYMENT", "PAYMENT/", "payment/16", "PAYMENT/+1", "PAYMENT/1/2", "4711", "/1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
