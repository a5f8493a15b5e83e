use laban_flow::{KeyPattern, Query};
use time::OffsetDateTime;

use super::moment::Moment;

/// Which flows, by key and time.
#[derive(clap::Args)]
pub(super) struct Choice {
    /// Only flows whose key begins like this, or matches this pattern of `*` and `?`
    #[arg(long, value_name = "PREFIX|PATTERN")]
    key: Option<String>,
    /// Not older than this, by the last record: a time span (`2h`), or a time (`2026-11-26T18:00:00Z`)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Older than this
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
}

impl Choice {
    /// The query for them, with nothing else asked. Time spans end `now`.
    pub(super) fn query(&self, now: OffsetDateTime) -> Query {
        Query {
            key: self.key.as_deref().map(KeyPattern::from),
            since: self.since.map(|moment| moment.before(now)),
            until: self.until.map(|moment| moment.before(now)),
            ..Query::default()
        }
    }
}
