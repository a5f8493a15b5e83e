use std::time::Instant;

use time::OffsetDateTime;

/// The broker's clock, as far as it can be known from its last answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BrokerClock {
    said: OffsetDateTime,
    heard: Instant,
}

impl BrokerClock {
    pub(crate) fn new(said: Option<OffsetDateTime>, heard: Instant) -> Option<Self> {
        said.map(|said| Self { said, heard })
    }

    /// Only the time that has passed is measured here.
    pub(crate) fn now(self) -> OffsetDateTime {
        self.said + self.heard.elapsed()
    }
}
