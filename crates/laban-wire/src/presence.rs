//! What an instance says of itself to those who ask who is there.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The `data` of an instance's answer to `$SRV.STATS`.
///
/// Whoever answers may leave out any of it; readers skip members that they do not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceData {
    /// The time by the clock of its host, as it answered.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub now: Option<OffsetDateTime>,
    /// Its address, as the broker sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The number of its process there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The [fingerprint](crate::contract_fingerprint) of the contract that it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// What became of its spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanTotals>,
}

/// What became of an instance's spans since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpanTotals {
    /// Delivered.
    pub exported: u64,
    /// Lost: more than leave.
    pub queue_full: u64,
    /// Lost: the collector was away, or refused.
    pub export_failed: u64,
}

impl SpanTotals {
    /// How many were lost.
    pub fn dropped(&self) -> u64 {
        self.queue_full + self.export_failed
    }
}
