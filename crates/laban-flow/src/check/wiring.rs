//! Whether everything that is emitted is consumed, and the other way round; and by one service.

use laban_wire::contract::HandlerContract;

use super::{Finding, Kind, Severity};
use crate::Map;
use crate::map::{Known, MapEvent, Place};

pub(super) fn check(map: &Map, found: &mut Vec<Finding>) {
    found.extend(map.events.iter().filter_map(unconsumed));
    for event in &map.events {
        found.extend(untriggered(map, event));
        found.extend(two_producers(event));
    }
}

/// Nobody reacts to it, and no deadline waits for it.
fn unconsumed(event: &MapEvent) -> Option<Finding> {
    let heard = !event.consumed_by.is_empty() || !event.awaited_by.is_empty();
    if heard || event.emitted_by.is_empty() {
        return None;
    }
    Some(Finding {
        kind: Kind::UnconsumedEvent,
        severity: Severity::Warning,
        subject: event.event.to_string(),
        services: event.emitting_services().into_iter().map(str::to_owned).collect(),
        what: format!("{} is emitted, and nobody reacts to it", event.event),
        fix: format!(
            "add the contract of who reacts, or stop emitting it; if it is an end that only people read, accept it with \
             `--allow unconsumed-event:{}`",
            event.event
        ),
        details: Vec::new(),
    })
}

/// A finding per handler that waits for it, when nobody on the map emits it. Of a service that is known by its consumers
/// only, nobody knows where it begins flows.
fn untriggered(map: &Map, event: &MapEvent) -> Vec<Finding> {
    let owner = map.service(event.event.service());
    let unknown = owner.is_some_and(|owner| owner.known == Known::Consumers);
    if !event.emitted_by.is_empty() || unknown {
        return Vec::new();
    }
    let why = match owner {
        Some(_) => format!("service {} does not emit it", event.event.service()),
        None => format!("there is no service {} on the map", event.event.service()),
    };
    let finding = |place: &Place, what: &str, then: &str| Finding {
        kind: Kind::UntriggeredReaction,
        severity: Severity::Error,
        subject: format!("{}/{}", place.service, place.handler),
        services: vec![place.service.clone()],
        what: format!(
            "{} of {} {what} {}, which nobody emits: {then}",
            place.handler, place.service, event.event
        ),
        fix: format!("{why}: add its contract, correct the name, or remove the reaction"),
        details: Vec::new(),
    };
    let consumed = event.consumed_by.iter().map(|place| finding(place, "reacts to", "it never runs for it"));
    let awaited = event.awaited_by.iter().map(|place| {
        let others = awaits_others(map, place, event);
        finding(
            place,
            "waits for",
            if others { "it is never what comes in time" } else { "its deadline always passes" },
        )
    });
    consumed.chain(awaited).collect()
}

fn awaits_others(map: &Map, place: &Place, event: &MapEvent) -> bool {
    let is_it = |handler: &&HandlerContract| handler.name == place.handler;
    let member = map.service(&place.service);
    let handler = member.and_then(|member| member.contract.handlers.iter().find(is_it));
    handler.and_then(|handler| handler.deadline.as_ref()).is_some_and(|deadline| {
        deadline.unless.iter().any(|other| {
            *other != event.event && map.event(other).is_some_and(|other| !other.emitted_by.is_empty())
        })
    })
}

/// An event has one emitter: the service that it is named after, whose home stream it is in.
fn two_producers(event: &MapEvent) -> Option<Finding> {
    let emitting = event.emitting_services();
    let owner = event.event.service();
    let others: Vec<&str> = emitting.iter().copied().filter(|service| *service != owner).collect();
    if others.is_empty() {
        return None;
    }
    let name = &event.event;
    Some(Finding {
        kind: Kind::TwoProducers,
        severity: Severity::Error,
        subject: name.to_string(),
        services: emitting.iter().map(|service| (*service).to_owned()).collect(),
        what: if emitting.len() > 1 {
            format!("{name} is emitted by {}", emitting.join(" and "))
        } else {
            format!("{name} is emitted by {}, and belongs to {owner}", others.join(" and "))
        },
        fix: format!(
            "let {} emit an event of its own, such as {}.{}, and who has to know react to both",
            others.join(" and "),
            others[0],
            name.event()
        ),
        details: Vec::new(),
    })
}
