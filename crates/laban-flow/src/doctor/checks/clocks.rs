//! Clocks of servers and instances that differ.

use time::Duration;

use super::super::seen::{Sample, Seen};
use super::super::{Finding, Kind, Severity};

/// Differences that are certain to be larger are told of.
const LARGE: Duration = Duration::milliseconds(500);
/// As long as a reaction may take before it is overdue: from here on open flows are judged wrongly.
const TOO_LARGE: Duration = Duration::seconds(30);

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    let servers: Vec<(String, Sample)> =
        seen.servers.iter().filter_map(|server| Some((server.name.clone(), server.clock?))).collect();
    let instances: Vec<(String, Sample)> = seen
        .instances
        .iter()
        .flatten()
        .filter_map(|one| Some((format!("{}, {}", one.service, one.told()), one.clock?)))
        .collect();
    // The broker's clock is what everything is stamped with. Of three servers the one in the middle is right.
    let Some((by, reference)) = middle(&servers) else { return };
    let reference = *reference;
    for (name, clock) in &servers {
        found.extend(apart(
            name,
            clock.ahead_of(reference),
            by,
            "a stream that it leads stamps events with it",
        ));
    }
    let mut grouped = Vec::<(String, String, Sample)>::new();
    for (name, clock) in &instances {
        let (service, told) = name.split_once(", ").unwrap_or((name, ""));
        grouped.push((service.to_owned(), told.to_owned(), clock.ahead_of(reference)));
    }
    grouped.sort_by_key(|(.., apart)| std::cmp::Reverse(apart.at_least()));
    let mut services: Vec<&str> = grouped.iter().map(|(service, ..)| service.as_str()).collect();
    services.sort_unstable();
    services.dedup();
    for service in services {
        let own: Vec<_> = grouped.iter().filter(|(of, ..)| of == service).collect();
        let Some((_, _, worst)) = own.first() else { continue };
        let about = "its waits and retries are told wrongly, and its spans are drawn in the wrong place";
        let details = own.iter().filter(|(.., apart)| apart.at_least() >= LARGE);
        let details = details.map(|(_, told, apart)| format!("{told}: {}", words(*apart)));
        found.extend(apart(service, *worst, by, about).map(|finding| finding.with(details)));
    }
}

/// The one in the middle.
fn middle(clocks: &[(String, Sample)]) -> Option<&(String, Sample)> {
    let mut sorted: Vec<_> = clocks.iter().collect();
    sorted.sort_by_key(|(_, clock)| clock.ahead);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn words(apart: Sample) -> String {
    let side = if apart.ahead.is_negative() { "behind" } else { "ahead" };
    format!("{:.1} s {side}, ±{:.1} s", apart.ahead.abs().as_seconds_f64(), apart.error.as_seconds_f64())
}

fn apart(subject: &str, apart: Sample, by: &str, about: &str) -> Option<Finding> {
    let least = apart.at_least();
    if least < LARGE {
        return None;
    }
    let severity = if least >= TOO_LARGE { Severity::Error } else { Severity::Warning };
    Some(Finding::new(
        severity,
        Kind::ClockDrift,
        subject,
        format!("its clock is {} of that of server {by}: {about}", words(apart)),
        "let all hosts keep time by NTP: `timedatectl`, `chronyc tracking` on that host",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(ahead_ms: i64, error_ms: i64) -> Sample {
        Sample { ahead: Duration::milliseconds(ahead_ms), error: Duration::milliseconds(error_ms) }
    }

    #[test]
    fn only_what_is_certain_is_told() {
        let severity = |ahead, error| apart("a", clock(ahead, error), "n1", "").map(|found| found.severity);
        assert_eq!(severity(499, 0), None);
        assert_eq!(severity(-500, 0), Some(Severity::Warning));
        assert_eq!(severity(3_000, 2_501), None);
        assert_eq!(severity(30_000, 1), Some(Severity::Warning));
        assert_eq!(severity(-30_001, 1), Some(Severity::Error));
    }

    #[test]
    fn of_three_the_odd_one_is_named() {
        let clocks =
            [("n1", 5_000), ("n2", 0), ("n3", 10)].map(|(name, ahead)| (name.to_owned(), clock(ahead, 1)));
        assert_eq!(middle(&clocks).map(|(name, _)| name.as_str()), Some("n3"));
        assert!(middle(&clocks[..1]).is_some() && middle(&[]).is_none());
    }
}
