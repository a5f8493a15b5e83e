//! Spans that were lost.

use super::super::seen::Seen;
use super::super::{Finding, Kind, Severity};
use super::count;

/// So many of a hundred are worth a warning.
const SHARE: u64 = 1;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for service in seen.services() {
        let told: Vec<_> =
            seen.instances_of(service).filter_map(|one| Some((one, one.data.spans?))).collect();
        let dropped: u64 = told.iter().map(|(_, spans)| spans.dropped()).sum();
        let all: u64 = dropped + told.iter().map(|(_, spans)| spans.exported).sum::<u64>();
        if dropped == 0 {
            continue;
        }
        let lossy = told.iter().filter(|(_, spans)| spans.dropped() > 0);
        let details = lossy.map(|(one, spans)| {
            format!(
                "{}: {} queue_full, {} export_failed, {} delivered",
                one.told(),
                spans.queue_full,
                spans.export_failed,
                spans.exported
            )
        });
        found.push(
            Finding::new(
                severity(dropped, all),
                Kind::DroppedSpans,
                service,
                format!("{} of {all} were lost since its instances started: traces have gaps", count(dropped, "span")),
                "`export_failed`: is the collector there, does it take them (OTEL_EXPORTER_OTLP_ENDPOINT; \
                 OTEL_TRACES_EXPORTER=none if there is to be none)? `queue_full`: a larger OTEL_BSP_MAX_QUEUE_SIZE, or sampling. \
                 A restart begins to count anew",
            )
            .with(details),
        );
    }
}

fn severity(dropped: u64, all: u64) -> Severity {
    if dropped.saturating_mul(100) >= all.saturating_mul(SHARE) { Severity::Warning } else { Severity::Note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_worth_a_warning() {
        assert_eq!(severity(1, 101), Severity::Note);
        assert_eq!(severity(1, 100), Severity::Warning);
        assert_eq!(severity(u64::MAX, u64::MAX), Severity::Warning);
    }
}
