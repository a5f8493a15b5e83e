use std::collections::BTreeMap;
use std::time::Duration;

use laban_wire::contract::{Contract, DeadlineContract, EventContract, HandlerContract, RetryContract};
use laban_wire::{EventType, ServiceName};

use crate::definition::{Deadline, Definition, Start};
use crate::extract::States;
use crate::{Error, EventInfo};

/// Derives the contract, and refuses handlers that do not fit together.
pub(crate) fn derive(
    service: &str,
    definitions: &[Definition],
    begins: &[EventInfo],
    states: &States,
) -> Result<Contract, Error> {
    let refuse = |reason: String| Error::Contract { service: service.to_owned(), reason };
    let name: ServiceName = service.parse().map_err(|e| refuse(format!("{e}")))?;
    if definitions.is_empty() && begins.is_empty() {
        return Err(refuse("it has no handler and begins no flow; add one with `.on(handler)`".to_owned()));
    }
    let mut events: BTreeMap<EventType, EventInfo> = BTreeMap::new();
    let mut handlers: Vec<HandlerContract> = Vec::new();
    for definition in definitions {
        check_handler(definition, &handlers, states).map_err(&refuse)?;
        for info in definition.consumes.iter().chain(definition.all_emits()) {
            note(&mut events, info).map_err(&refuse)?;
        }
        for info in definition.all_emits() {
            own(&name, info, &format!("handler `{}`", definition.name)).map_err(&refuse)?;
        }
        handlers.push(handler(definition));
    }
    for info in begins {
        own(&name, info, "`.emits()`").map_err(&refuse)?;
        note(&mut events, info).map_err(&refuse)?;
    }
    let event = |info: EventInfo| EventContract {
        event: info.event,
        version: info.version,
        schema: info.schema.to_value(),
    };
    Ok(Contract {
        service: name,
        laban: env!("CARGO_PKG_VERSION").to_owned(),
        handlers,
        begins: names(begins),
        events: events.into_values().map(event).collect(),
    })
}

fn handler(definition: &Definition) -> HandlerContract {
    let retry = definition.retry;
    HandlerContract {
        name: definition.name.clone().into_owned(),
        consumes: names(&definition.consumes),
        emits: names(&definition.emits),
        fails_with: names(&definition.fails_with),
        compensates: definition.compensates.clone(),
        deadline: definition.deadline.as_ref().map(|deadline| DeadlineContract {
            unless: deadline.unless.clone(),
            within_ms: deadline.within_ms(),
        }),
        retry: Some(RetryContract {
            max_attempts: retry.max_attempts,
            first_delay_ms: millis(retry.first_delay),
            max_delay_ms: millis(retry.max_delay),
        }),
        timeout_ms: Some(millis(definition.timeout)),
        reads_flow: definition.reads_flow,
        at_least_once: !definition.fenced,
        skips_history: definition.start == Start::Now,
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Event names, each once, in order of first mention.
pub(crate) fn names<'a>(events: impl IntoIterator<Item = &'a EventInfo>) -> Vec<EventType> {
    let mut names = Vec::new();
    for info in events {
        if !names.contains(&info.event) {
            names.push(info.event.clone());
        }
    }
    names
}

fn check_handler(definition: &Definition, others: &[HandlerContract], states: &States) -> Result<(), String> {
    let name = &definition.name;
    let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(named) {
        return Err(format!(
            "`{name}` is not a handler's name (letters, digits and `_`); a closure has none of its own: add `.named(\"…\")`"
        ));
    }
    if definition.reads_flow && !definition.fenced {
        return Err(format!(
            "handler `{name}` is `.at_least_once()` and takes Flow<…>: without the fence there is no flow state; leave one out"
        ));
    }
    if let Some(deadline) = &definition.deadline {
        check_deadline(definition, deadline).map_err(|wrong| format!("handler `{name}` {wrong}"))?;
    }
    if others.iter().any(|other| other.name == *name) {
        return Err(format!("two handlers are called `{name}`; tell them apart with `.named(\"…\")`"));
    }
    if let Some((_, missing)) = definition.needs.iter().find(|(id, _)| !states.has(*id)) {
        return Err(format!(
            "handler `{name}` takes State<{missing}>, which the service was not given; add `.state(…)`"
        ));
    }
    Ok(())
}

/// The longest deadline. Brokers count nanoseconds, and some hundred years of them is all they can.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

fn check_deadline(definition: &Definition, deadline: &Deadline) -> Result<(), String> {
    if !definition.fenced {
        return Err(
            "is `.at_least_once()` and has a deadline: without the fence nothing keeps it from running \
                    each time that a timer comes; leave one out"
                .to_owned(),
        );
    }
    if deadline.within_ms() == 0 || deadline.within > LONGEST {
        return Err(format!(
            "has a deadline after {:?}: nothing can follow in that time, or be waited for so long; give it a time from a \
             millisecond to a hundred years",
            deadline.within
        ));
    }
    if let Some(both) = definition.consumes.iter().find(|info| deadline.unless.contains(&info.event)) {
        return Err(format!(
            "reacts to {event} unless {event} follows: it is there already; let it wait for another event",
            event = both.event
        ));
    }
    Ok(())
}

/// One name is one shape.
fn note(events: &mut BTreeMap<EventType, EventInfo>, info: &EventInfo) -> Result<(), String> {
    match events.insert(info.event.clone(), info.clone()) {
        Some(other) if other != *info => Err(format!(
            "two types are called {} (versions {} and {}); give one of them another name",
            info.event, other.version, info.version
        )),
        _ => Ok(()),
    }
}

/// Only the service an event is named after may emit it.
fn own(service: &ServiceName, info: &EventInfo, emitter: &str) -> Result<(), String> {
    if info.event.service() == service.as_str() {
        return Ok(());
    }
    Err(format!(
        "{emitter} of service {service} emits {}, which belongs to service {}; an event has one emitter: react to {} \
         with an event of your own, such as {service}.{}",
        info.event,
        info.event.service(),
        info.event,
        info.event.event(),
    ))
}
