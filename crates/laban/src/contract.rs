use std::collections::BTreeMap;
use std::time::Duration;

use laban_wire::{EventType, ServiceName};
use serde::Serialize;

use crate::definition::{Deadline, Definition};
use crate::extract::States;
use crate::{Error, EventInfo};

/// What a service consumes and emits, derived from its handlers' types.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Contract {
    /// The service.
    pub service: ServiceName,
    /// Its handlers.
    pub handlers: Vec<HandlerContract>,
    /// Events that it emits without a cause: where flows begin.
    pub begins: Vec<EventType>,
    /// Every event type named above, once.
    pub events: Vec<EventInfo>,
}

/// What one handler consumes and emits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HandlerContract {
    /// The handler.
    pub name: String,
    /// What it reacts to.
    pub consumes: Vec<EventType>,
    /// What may come of it, on success and on failure.
    pub emits: Vec<EventType>,
    /// What it undoes.
    pub compensates: Vec<EventType>,
    /// What must follow, for it not to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DeadlineContract>,
}

/// A handler's deadline: it runs unless one of these events follows in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeadlineContract {
    /// Any of these.
    pub unless: Vec<EventType>,
    /// Within this time after the event that the handler reacts to.
    pub within_ms: u64,
}

impl Contract {
    /// Derives the contract, and refuses handlers that do not fit together.
    pub(crate) fn derive(
        service: &str,
        definitions: &[Definition],
        begins: &[EventInfo],
        states: &States,
    ) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Contract { service: service.to_owned(), reason };
        let name: ServiceName = service.parse().map_err(|e| refuse(format!("{e}")))?;
        if definitions.is_empty() && begins.is_empty() {
            return Err(refuse(
                "it has no handler and begins no flow; add one with `.on(handler)`".to_owned(),
            ));
        }
        let mut events: BTreeMap<EventType, EventInfo> = BTreeMap::new();
        let mut handlers: Vec<HandlerContract> = Vec::new();
        for definition in definitions {
            check_handler(definition, &handlers, states).map_err(&refuse)?;
            for info in definition.consumes.iter().chain(&definition.emits) {
                note(&mut events, info).map_err(&refuse)?;
            }
            for info in &definition.emits {
                own(&name, info, &format!("handler `{}`", definition.name)).map_err(&refuse)?;
            }
            handlers.push(HandlerContract {
                name: definition.name.clone().into_owned(),
                consumes: names(&definition.consumes),
                emits: names(&definition.emits),
                compensates: definition.compensates.clone(),
                deadline: definition.deadline.as_ref().map(|deadline| DeadlineContract {
                    unless: deadline.unless.clone(),
                    within_ms: deadline.within_ms(),
                }),
            });
        }
        for info in begins {
            own(&name, info, "`.emits()`").map_err(&refuse)?;
            note(&mut events, info).map_err(&refuse)?;
        }
        Ok(Self { service: name, handlers, begins: names(begins), events: events.into_values().collect() })
    }
}

/// Event names, each once, in order of first mention.
pub(crate) fn names(events: &[EventInfo]) -> Vec<EventType> {
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
