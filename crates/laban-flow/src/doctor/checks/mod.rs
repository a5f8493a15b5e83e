//! What is wrong: one file for each matter, each a function from what was read to findings.

mod clocks;
mod consumers;
mod contracts;
mod fitness;
mod left;
mod presence;
mod replicas;
mod retention;
mod room;
mod servers;
mod spans;
mod sync;
#[cfg(test)]
mod testing;

use super::seen::Seen;
use super::{Finding, Options};

/// All checks.
pub(super) fn all(seen: &Seen, options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    servers::check(seen, &mut found);
    sync::check(seen, &mut found);
    replicas::check(seen, &mut found);
    fitness::check(seen, &mut found);
    retention::check(seen, &mut found);
    room::check(seen, &mut found);
    consumers::check(seen, options, &mut found);
    presence::check(seen, &mut found);
    contracts::check(seen, &mut found);
    clocks::check(seen, &mut found);
    spans::check(seen, &mut found);
    left::check(seen, &mut found);
    found
}

/// A release as it can be compared: `2.15.1`, `2.14.0-RC.1`.
fn release(version: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '-']).map(str::parse);
    match (numbers.next()?, numbers.next()?, numbers.next()?) {
        (Ok(major), Ok(minor), Ok(patch)) => Some((major, minor, patch)),
        _ => None,
    }
}

/// `1 event`, `2 events`.
fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `1 event waits`, `2 events wait`.
fn wait(number: u64, what: &str) -> String {
    format!("{} wait{}", count(number, what), if number == 1 { "s" } else { "" })
}

/// Bytes in the unit that reads best.
fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number as f64 / *size as f64),
        None => format!("{number} B"),
    }
}

/// A time in days, or in a smaller unit.
fn age(time: std::time::Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds >= 86_400.0 => format!("{:.1} days", seconds / 86_400.0),
        _ if seconds >= 3_600.0 => format!("{:.1} h", seconds / 3_600.0),
        _ if seconds >= 60.0 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{seconds:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert_eq!(release("2.15.1"), Some((2, 15, 1)));
        assert_eq!(release("v2.14.0-RC.1"), Some((2, 14, 0)));
        assert!(release("2.9.10") < release("2.12.0"));
        assert_eq!(release("main"), None);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!([bytes(12), bytes(435_000_000), bytes(3 << 30)], ["12 B", "414.8 MiB", "3.0 GiB"]);
        let of = |seconds| age(std::time::Duration::from_secs(seconds));
        assert_eq!([of(2), of(90), of(7_200), of(2_592_000)], ["2.0 s", "1.5 min", "2.0 h", "30.0 days"]);
    }
}
