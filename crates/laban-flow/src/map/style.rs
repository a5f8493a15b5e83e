//! What the renderers share: how a handler's options are worded.

use laban_wire::EventType;
use laban_wire::contract::{DeadlineContract, HandlerContract};

/// How a map is written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapStyle {
    /// Draws with ASCII only.
    pub ascii: bool,
    /// Colours by ANSI escape sequences.
    pub colour: bool,
}

/// `order.placed, payment.captured`.
pub(super) fn list(events: &[EventType]) -> String {
    events.iter().map(EventType::as_str).collect::<Vec<_>>().join(", ")
}

/// `unless payment.captured, payment.declined within 30 s`.
pub(super) fn deadline(deadline: &DeadlineContract) -> String {
    format!("unless {} within {}", list(&deadline.unless), time(deadline.within_ms))
}

/// What else there is to say of a handler: its deadline, and what it undoes.
pub(super) fn notes(handler: &HandlerContract) -> Vec<String> {
    let mut notes: Vec<String> = handler.deadline.iter().map(deadline).collect();
    if !handler.compensates.is_empty() {
        notes.push(format!("undoes {}", list(&handler.compensates)));
    }
    if handler.at_least_once {
        notes.push("at least once".to_owned());
    }
    notes
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// In the largest unit that leaves no remainder.
pub(super) fn time(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match UNITS.iter().find(|(size, _)| ms >= *size && ms.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{} {unit}", ms / size),
        None => format!("{ms} ms"),
    }
}

/// A rate, with as many digits as say something.
pub(super) fn rate(per_second: f64) -> String {
    if per_second >= 10.0 || per_second == 0.0 {
        format!("{per_second:.0}/s")
    } else {
        format!("{per_second:.1}/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_short() {
        let times = [30_000, 90_000, 1_500, 7_200_000, 172_800_000].map(time);
        assert_eq!(times, ["30 s", "90 s", "1500 ms", "2 h", "2 d"]);
        assert_eq!([0.0, 0.25, 12.4].map(rate), ["0/s", "0.2/s", "12/s"]);
        assert_eq!([count(1, "event"), count(2, "event")], ["1 event", "2 events"]);
    }
}
