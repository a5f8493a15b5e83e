//! Whether handlers keep up, and get on with what they have in hand.

use std::time::Duration;

use time::OffsetDateTime;

use super::super::seen::{Seen, Watched};
use super::super::{Finding, Kind, Options, Severity};
use super::{age, count, wait};

/// Fewer that wait are no lag: as in the alert `LabanLagGrowing`.
const LAG: u64 = 100;
/// So many at once that are delivered again are no accident.
const AGAIN: usize = 100;
/// What a handler may take, and wait for its next attempt, where its contract does not say.
const UNKNOWN: Duration = Duration::from_secs(60);

pub(super) fn check(seen: &Seen, options: &Options, found: &mut Vec<Finding>) {
    for consumer in &seen.consumers {
        let Some(service) = consumer.service() else { continue };
        growing(consumer, options, found);
        full(consumer, found);
        // Of a service that is not there, that is what there is to say.
        if seen.is_absent(service) {
            continue;
        }
        nobody(consumer, options, found);
        again(consumer, found);
        silent(seen, consumer, options, found);
    }
}

fn growing(consumer: &Watched, options: &Options, found: &mut Vec<Finding>) {
    let (before, now) = (consumer.first.num_pending, consumer.last().num_pending);
    if now < LAG || now <= before {
        return;
    }
    let pulls = match consumer.is_asked_for() || consumer.moves() {
        true => "instances ask for them and do not keep up",
        false => "nobody asks for them",
    };
    found.push(Finding::new(
        Severity::Warning,
        Kind::GrowingLag,
        consumer.subject(),
        format!("{now} events wait, {} more than {} before: {pulls}", now - before, age(options.watch_for)),
        "start instances, or more of them; or raise the handler's concurrency. `laban metrics` shows whether it goes on",
    ));
}

fn full(consumer: &Watched, found: &mut Vec<Finding>) {
    let (info, most) = (consumer.last(), consumer.first.config.max_ack_pending);
    let Ok(most) = u64::try_from(most) else { return };
    let pending = info.num_ack_pending as u64;
    if most == 0 || pending * 10 < most * 8 {
        return;
    }
    let (severity, then) = match pending >= most {
        true => (Severity::Error, "nothing else is delivered until some are acknowledged"),
        false => (Severity::Warning, "at the limit nothing else is delivered"),
    };
    found.push(Finding::new(
        severity,
        Kind::PendingFull,
        consumer.subject(),
        format!("delivered and not acknowledged: {} of at most {most}; {then}", count(pending, "event")),
        "most of them wait for another attempt: see why they fail (`last_error` in `nats micro stats`, `laban flow list`)",
    ));
}

fn nobody(consumer: &Watched, options: &Options, found: &mut Vec<Finding>) {
    let waits = consumer.first.num_pending > 0 && consumer.last().num_pending > 0;
    if !waits || consumer.is_asked_for() || consumer.moves() || consumer.first.num_ack_pending > 0 {
        return;
    }
    found.push(Finding::new(
        Severity::Warning,
        Kind::NobodyAsks,
        consumer.subject(),
        format!(
            "{}, and nobody asked within {}: the service has instances, and they do not pull",
            wait(consumer.last().num_pending, "event"),
            age(options.watch_for)
        ),
        "do they run the build that has this handler? If it was taken out, delete the consumer; else see their logs",
    ));
}

fn again(consumer: &Watched, found: &mut Vec<Finding>) {
    let (before, now) = (consumer.first.num_redelivered, consumer.last().num_redelivered);
    if before == 0 || now == 0 {
        return;
    }
    let many = before.min(now) >= AGAIN;
    found.push(Finding::new(
        if many { Severity::Warning } else { Severity::Note },
        Kind::Redeliveries,
        consumer.subject(),
        format!("in hand for the second time, or more: {}", count(now as u64, "event")),
        match many {
            true => "attempts fail, or processes die: `nats micro stats` has the last error, `laban flow list --state running` \
                     the flows",
            false => "nothing, if it passes: attempts that fail are made again",
        },
    ));
}

/// Neither acknowledged nor delivered again, and no sign of life (`+WPI` counts as activity), for longer than any attempt and
/// any pause may take.
fn silent(seen: &Seen, consumer: &Watched, options: &Options, found: &mut Vec<Finding>) {
    let (first, last) = (&consumer.first, consumer.last());
    if first.num_ack_pending == 0 || last.num_ack_pending == 0 || consumer.moves() {
        return;
    }
    let active = [last.delivered.last_active, last.ack_floor.last_active].into_iter().flatten().max();
    let now = seen.now.unwrap_or_else(OffsetDateTime::now_utc);
    let Some(quiet) = active.and_then(|active| Duration::try_from(now - active).ok()) else { return };
    if quiet < patience(seen, consumer) + options.overdue {
        return;
    }
    found.push(Finding::new(
        Severity::Warning,
        Kind::Unacknowledged,
        consumer.subject(),
        format!(
            "delivered and not acknowledged, with nothing come of it for {}: {}",
            age(quiet),
            count(last.num_ack_pending as u64, "event")
        ),
        "its instances hang, or somebody else has read from this consumer: restart them, and what is in hand is delivered again",
    ));
}

/// The longest time between two signs of life of a handler at work.
fn patience(seen: &Seen, consumer: &Watched) -> Duration {
    let handler = consumer.reaction().map(|(handler, _)| handler);
    let contract = consumer.service().and_then(|service| seen.contract_of(service));
    let handlers = contract.into_iter().flat_map(|one| &one.contract.handlers);
    let known = handlers.into_iter().find(|one| Some(one.name.as_str()) == handler);
    let pause = known.and_then(|one| one.retry).map(|retry| Duration::from_millis(retry.max_delay_ms));
    let run = known.and_then(|one| one.timeout_ms).map(Duration::from_millis);
    let wait = consumer.first.config.ack_wait;
    pause.unwrap_or(UNKNOWN).max(run.unwrap_or(UNKNOWN)).max(wait)
}
