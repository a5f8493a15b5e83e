//! A home stream is its service's memory: what it has forgotten is done again when the event is still there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::seen::{Seen, Watched};
use super::super::{Finding, Kind, Severity};
use super::age;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for service in seen.services() {
        let Some(home) = seen.home_of(service) else { continue };
        let own = home.config.max_age;
        // By stream, with the handlers that rest on it.
        let mut longer = BTreeMap::<&str, (Duration, Vec<&str>)>::new();
        for consumer in seen.consumers_of(service).filter(|consumer| !consumer.is_at_least_once()) {
            let (Some((handler, _)), Some(source)) = (consumer.reaction(), source(seen, consumer)) else {
                continue;
            };
            if outlives(source, own) {
                longer.entry(&consumer.first.stream_name).or_insert((source, Vec::new())).1.push(handler);
            }
        }
        if !longer.is_empty() {
            found.push(short(service, &home.config.name, own, &longer));
        }
        for consumer in seen.consumers_of(service) {
            late(seen, service, consumer, found);
        }
    }
}

fn short(
    service: &str,
    home: &str,
    own: Duration,
    longer: &BTreeMap<&str, (Duration, Vec<&str>)>,
) -> Finding {
    let details = longer.iter().map(|(stream, (kept, handlers))| {
        let mut handlers = handlers.clone();
        handlers.dedup();
        format!(
            "{stream} keeps its events {}; {} of {service} rests on it",
            lasts(*kept),
            handlers.join(", ")
        )
    });
    let longest = longer.values().map(|(kept, _)| *kept).max_by_key(|kept| (kept.is_zero(), *kept));
    let days = match longest.unwrap_or_default() {
        Duration::ZERO => "0".to_owned(),
        kept => kept.as_secs().div_ceil(86_400).to_string(),
    };
    Finding::new(
        Severity::Error,
        Kind::ShortRetention,
        service,
        format!(
            "its home stream {home} keeps records {}, and it reacts to events that are kept longer: one that is delivered \
             again after that takes effect twice",
            lasts(own)
        ),
        format!(
            "LABAN_RETENTION_DAYS={days} for {service}, and `nats stream edit {home} --max-age {}`; or a shorter one for the \
             streams below",
            match days.as_str() { "0" => "0".to_owned(), days => format!("{days}d") }
        ),
    )
    .with(details)
}

/// A deadline that passes when its event is gone.
fn late(seen: &Seen, service: &str, consumer: &Watched, found: &mut Vec<Finding>) {
    let (Some(within), Some((handler, event))) = (consumer.within_ms(), consumer.reaction()) else { return };
    let within = Duration::from_millis(within);
    let Some(kept) = source(seen, consumer).filter(|kept| !kept.is_zero() && within >= *kept) else { return };
    let stream = &consumer.first.stream_name;
    found.push(Finding::new(
        Severity::Error,
        Kind::ShortRetention,
        format!("{service}/{handler}"),
        format!(
            "its deadline passes {} after {event}, and {stream} keeps that for {}: there is nothing left to react to then",
            age(within),
            age(kept)
        ),
        format!("a longer retention of {stream} (LABAN_RETENTION_DAYS of its service, and `nats stream edit`), or an earlier deadline"),
    ));
}

/// How long the stream keeps what the consumer delivers.
fn source(seen: &Seen, consumer: &Watched) -> Option<Duration> {
    let stream = seen.streams.iter().find(|stream| stream.name() == consumer.first.stream_name)?;
    Some(stream.info.config.max_age)
}

/// Zero is for ever.
fn outlives(one: Duration, other: Duration) -> bool {
    !other.is_zero() && (one.is_zero() || one > other)
}

fn lasts(kept: Duration) -> String {
    if kept.is_zero() { "for ever".to_owned() } else { format!("for {}", age(kept)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_outlives_all_but_itself() {
        let day = Duration::from_secs(86_400);
        assert!(outlives(Duration::ZERO, day) && outlives(2 * day, day));
        assert!(
            !outlives(day, Duration::ZERO)
                && !outlives(Duration::ZERO, Duration::ZERO)
                && !outlives(day, day)
        );
    }
}
