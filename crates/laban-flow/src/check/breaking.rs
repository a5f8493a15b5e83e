//! Events whose shape has changed in a way that breaks who reads them.

use laban_wire::compatibility::{BrokenEvent, broken_events};
use laban_wire::contract::Contract;

use super::{Finding, Kind, Severity};
use crate::Map;
use crate::map::{Known, Member};

pub(super) fn check(map: &Map, registered: &[Contract], found: &mut Vec<Finding>) {
    for member in map.services.iter().filter(|member| member.known == Known::Contract) {
        let before = registered.iter().find(|before| before.service == member.contract.service);
        let broken = before.map(|before| broken_events(before, &member.contract)).unwrap_or_default();
        found.extend(broken.iter().map(|broken| changed(member, broken)));
        found.extend(unknown_versions(map, member));
    }
}

fn changed(member: &Member, broken: &BrokenEvent) -> Finding {
    let BrokenEvent { event, old_version, new_version, breaks, .. } = broken;
    let (what, fix) = if breaks.is_empty() {
        (
            format!("{event} is of version {new_version}, and version {old_version} is registered"),
            format!("keep version {old_version}, or go on to {}", old_version.saturating_add(1)),
        )
    } else {
        (
            format!(
                "{event} version {old_version} is registered with another shape, and the change breaks its readers"
            ),
            format!(
                "make it version {}, and keep version {old_version} as a type of its own that the new one is made `from`",
                old_version.saturating_add(1)
            ),
        )
    };
    Finding {
        kind: Kind::BreakingChange,
        severity: Severity::Error,
        subject: event.to_string(),
        services: vec![member.name().to_owned()],
        what,
        fix,
        details: breaks.iter().map(ToString::to_string).collect(),
    }
}

/// A service that was built with an older version than is emitted makes a dead letter of every one.
fn unknown_versions(map: &Map, member: &Member) -> Vec<Finding> {
    let consumed = |event: &laban_wire::EventType| {
        let handlers = member.contract.handlers.iter();
        let mut handlers = handlers.filter(|handler| handler.consumes.contains(event));
        handlers.next().map(|handler| handler.name.as_str())
    };
    let mut found = Vec::new();
    for known in &member.contract.events {
        let Some(handler) = consumed(&known.event) else { continue };
        let owner = map.service(known.event.service()).filter(|owner| owner.name() != member.name());
        let emitted = owner.into_iter().flat_map(|owner| &owner.contract.events);
        let Some(emitted) = emitted.into_iter().find(|event| event.event == known.event) else { continue };
        if known.version < emitted.version {
            found.push(Finding {
                kind: Kind::BreakingChange,
                severity: Severity::Error,
                subject: format!("{}/{handler}", member.name()),
                services: vec![member.name().to_owned(), known.event.service().to_owned()],
                what: format!(
                    "{handler} of {} knows {} up to version {}, and version {} is emitted: each becomes a dead letter",
                    member.name(),
                    known.event,
                    known.version,
                    emitted.version
                ),
                fix: format!("build {} with version {} of the event, and deploy it first", member.name(), emitted.version),
                details: Vec::new(),
            });
        }
    }
    found
}
