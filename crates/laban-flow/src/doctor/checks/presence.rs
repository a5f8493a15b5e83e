//! Whether there is somebody for each stream and each consumer.

use laban_wire::contract::Contract;

use super::super::seen::{Role, Seen, Watched};
use super::super::{Finding, Kind, Severity};
use super::{count, wait};
use crate::map::Known;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for service in seen.services() {
        if seen.is_absent(service) {
            absent(seen, service, found);
        } else if seen.instances.is_some() && seen.instances_of(service).next().is_none() {
            found.push(unheard(service));
        }
    }
    for consumer in &seen.consumers {
        match consumer.service() {
            Some(service) => orphaned(seen, service, consumer, found),
            None => foreign(consumer, found),
        }
    }
    timers(seen, found);
}

/// Nobody is there. With a contract it will come back; without one it is gone, and has left something.
fn absent(seen: &Seen, service: &str, found: &mut Vec<Finding>) {
    let is_gone = seen.contracts.is_some() && seen.contract_of(service).is_none();
    if is_gone {
        let streams = seen.streams.iter().filter(|stream| stream.role.service() == Some(service));
        found.extend(streams.filter(|_| seen.consumers_of(service).next().is_none()).map(|stream| {
            let state = &stream.info.state;
            let written = match state.messages {
                0 => "it is empty".to_owned(),
                _ => format!("it holds {}, the last of {}", count(state.messages, "message"), state.last_timestamp.date()),
            };
            let (severity, why) = match seen.retired.contains(service) {
                true => (Severity::Note, "has left, and its history stays"),
                false => (Severity::Warning, "has no contract, no instance and no consumer"),
            };
            Finding::new(
                severity,
                Kind::StreamWithoutService,
                stream.name(),
                format!("service {service} {why}; {written}"),
                format!(
                    "if the service is gone for good and nobody reads its events: `laban retire {service} --delete-history`. \
                     Flows that it took part in lose their records there",
                ),
            )
        }));
        return;
    }
    let waiting = seen.consumers_of(service).filter(|consumer| consumer.last().num_pending > 0);
    let details: Vec<_> = waiting
        .map(|consumer| format!("{}: {}", consumer.subject(), wait(consumer.last().num_pending, "event")))
        .collect();
    let what = match details.is_empty() {
        true => "no instance of it is there; nothing waits for it yet",
        false => "no instance of it is there, and events wait for it",
    };
    found.push(
        Finding::new(
            Severity::Warning,
            Kind::AbsentService,
            service,
            what,
            format!(
                "start it. If it is gone for good: `laban retire {service}`. If it runs and may not subscribe to `$SRV.>`: \
                 allow it to"
            ),
        )
        .with(details),
    );
}

/// Somebody pulls, and nobody answers.
fn unheard(service: &str) -> Finding {
    Finding::new(
        Severity::Note,
        Kind::AbsentService,
        service,
        "no instance of it answers, and its events are asked for: its clocks, spans and builds are not looked at",
        "nothing, if it does not announce itself (docs/wire.md, *Who is there*), or may not subscribe to `$SRV.>`. Else it hangs, \
         or its machine is gone: look again in some seconds",
    )
}

fn orphaned(seen: &Seen, service: &str, consumer: &Watched, found: &mut Vec<Finding>) {
    let Some(Orphan { why, retire }) = orphan(seen, service, consumer) else { return };
    let pending = consumer.last().num_pending;
    let waits = if pending > 0 { format!("; {} there", wait(pending, "event")) } else { String::new() };
    let (stream, name) = (&consumer.first.stream_name, &consumer.first.name);
    let delete = retire.unwrap_or_else(|| format!("nats consumer rm {stream} {name}"));
    found.push(Finding::new(
        Severity::Warning,
        Kind::OrphanedConsumer,
        consumer.subject(),
        format!("{why}{waits}"),
        format!("`{delete}`, if it is not wanted any more: flows are taken to wait for it. With it goes its position"),
    ));
}

/// A consumer that nobody wants any more.
struct Orphan {
    why: String,
    /// What takes it out of the mesh, where that is more than the consumer, or can be said by other names than the broker's.
    retire: Option<String>,
}

/// Why nobody wants it any more; nothing when somebody does, or that is unknown.
fn orphan(seen: &Seen, service: &str, consumer: &Watched) -> Option<Orphan> {
    if seen.instances_of(service).any(|instance| instance.consumers.contains(&consumer.first.name)) {
        return unemitted(seen, consumer);
    }
    let contracts = seen.contracts.as_ref()?;
    let Some(registered) = contracts.get(service) else {
        // Services that register nothing are known by what they pull.
        return seen.is_absent(service).then(|| Orphan {
            why: format!("service {service} has no contract, and no instance"),
            retire: Some(format!("laban retire {service}")),
        });
    };
    let contract = &registered.contract;
    if consumer.is_asked_for() || consumer.moves() || is_declared(contract, consumer) {
        return unemitted(seen, consumer);
    }
    let what = match (consumer.reaction(), consumer.cancels()) {
        (Some((handler, event)), _) => format!("no handler {handler} of {service} reacts to {event}"),
        (None, Some(handler)) => {
            format!("no deadline of handler {handler} of {service} waits for this event")
        }
        (None, None) if consumer.is_due() => format!("no handler of {service} has a deadline"),
        (None, None) => format!("{service} has no handler whose dead letters could be handed back"),
    };
    let retire = consumer
        .reaction()
        .map(|(handler, event)| format!("laban retire {service} {handler} --event {event}"));
    Some(Orphan { why: format!("{what}, by the contract that is registered"), retire })
}

fn is_declared(contract: &Contract, consumer: &Watched) -> bool {
    let mut handlers = contract.handlers.iter();
    let event = consumer.first.config.filter_subject.strip_suffix(".*").unwrap_or_default();
    match (consumer.reaction(), consumer.cancels()) {
        (Some((name, event)), _) => handlers
            .any(|one| one.name == name && one.consumes.iter().any(|consumed| consumed.as_str() == event)),
        (None, Some(name)) => handlers.any(|one| {
            let awaited = one.deadline.iter().flat_map(|deadline| &deadline.unless);
            one.name == name && awaited.into_iter().any(|awaited| awaited.as_str() == event)
        }),
        (None, None) if consumer.is_due() => handlers.any(|one| one.deadline.is_some()),
        (None, None) => handlers.next().is_some(),
    }
}

/// No event comes any more: the service that it is named after has a contract, and does not emit it.
fn unemitted(seen: &Seen, consumer: &Watched) -> Option<Orphan> {
    let (handler, event) = consumer.reaction()?;
    let map = seen.map.as_ref()?;
    let event = event.parse().ok()?;
    let owner = map.service(laban_wire::EventType::service(&event))?;
    let emitted = map.event(&event).is_some_and(|known| !known.emitted_by.is_empty());
    // The handler still has it: nothing is to be retired.
    (owner.known == Known::Contract && !emitted).then(|| Orphan {
        why: format!("{event}, which handler {handler} reacts to, is emitted by nobody on the map"),
        retire: None,
    })
}

fn foreign(consumer: &Watched, found: &mut Vec<Finding>) {
    // One without a durable name is somebody's who reads just now.
    if consumer.first.config.durable_name.is_none() {
        return;
    }
    let pending = consumer.last().num_pending;
    found.push(Finding::new(
        Severity::Note,
        Kind::ForeignConsumer,
        consumer.subject(),
        format!("a consumer that is no service's; {} there", wait(pending, "event")),
        "nothing, if somebody knows it",
    ));
}

fn timers(seen: &Seen, found: &mut Vec<Finding>) {
    for stream in &seen.streams {
        let Role::Timers(service) = &stream.role else { continue };
        let Some(registered) = seen.contract_of(service) else { continue };
        let runs = seen.consumers_of(service).any(|consumer| consumer.is_due() && consumer.is_asked_for());
        if runs || registered.contract.handlers.iter().any(|handler| handler.deadline.is_some()) {
            continue;
        }
        found.push(Finding::new(
            Severity::Warning,
            Kind::StreamWithoutService,
            stream.name(),
            format!(
                "no handler of {service} has a deadline any more, and {} in it",
                match stream.info.state.messages {
                    1 => "1 timer is".to_owned(),
                    many => format!("{many} timers are"),
                }
            ),
            format!("`nats stream rm {}`: nobody looks at its timers", stream.name()),
        ));
    }
}
