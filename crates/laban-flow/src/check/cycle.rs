//! Events that lead back to themselves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use laban_wire::EventType;

use super::paths::outcomes;
use super::{Finding, Kind, Severity};
use crate::Map;
use crate::map::Known;

/// One way from an event to the next: by which handler, and whether that is all that can come of it.
#[derive(Clone)]
struct Hop<'m> {
    to: &'m EventType,
    by: String,
    service: &'m str,
    only: bool,
}

/// A circle is found once, by the first of its events, on the shortest way round.
pub(super) fn check(map: &Map, found: &mut Vec<Finding>) {
    let hops = hops(map);
    let mut told = BTreeSet::new();
    for event in &map.events {
        let Some(circle) = shortest(&event.event, &hops) else { continue };
        let members: BTreeSet<&EventType> = circle.iter().map(|hop| hop.to).collect();
        if members.iter().all(|member| !told.contains(member)) {
            found.push(finding(&event.event, &circle));
        }
        told.extend(members);
    }
}

/// A handler that reads flow state knows that it was here before, and a deadline gives up: neither goes round for ever by
/// itself. Consumers do not tell who reads flow state, so who is known by them only is taken to do so.
fn hops(map: &Map) -> BTreeMap<&EventType, Vec<Hop<'_>>> {
    let mut hops = BTreeMap::<_, Vec<_>>::new();
    for (member, handler) in map.handlers() {
        if member.known == Known::Consumers || handler.reads_flow || handler.deadline.is_some() {
            continue;
        }
        for from in &handler.consumes {
            for to in outcomes(handler) {
                hops.entry(from).or_default().push(Hop {
                    to,
                    by: format!("{}/{}", member.name(), handler.name),
                    service: member.name(),
                    only: outcomes(handler).count() == 1,
                });
            }
        }
    }
    hops
}

/// The shortest way from an event back to itself.
fn shortest<'m>(event: &'m EventType, hops: &BTreeMap<&'m EventType, Vec<Hop<'m>>>) -> Option<Vec<Hop<'m>>> {
    let mut from = BTreeMap::<&EventType, (&EventType, Hop<'m>)>::new();
    let mut next = VecDeque::from([event]);
    while let Some(at) = next.pop_front() {
        for hop in hops.get(at).into_iter().flatten() {
            if from.contains_key(hop.to) {
                continue;
            }
            from.insert(hop.to, (at, hop.clone()));
            if hop.to == event {
                return Some(way_back(event, &from));
            }
            next.push_back(hop.to);
        }
    }
    None
}

fn way_back<'m>(event: &EventType, from: &BTreeMap<&'m EventType, (&'m EventType, Hop<'m>)>) -> Vec<Hop<'m>> {
    let mut way = Vec::new();
    let mut at = event;
    loop {
        let (before, hop) = &from[at];
        way.push(hop.clone());
        at = before;
        if *at == *event {
            way.reverse();
            return way;
        }
    }
}

fn finding(event: &EventType, circle: &[Hop<'_>]) -> Finding {
    let mut services: Vec<String> = circle.iter().map(|hop| hop.service.to_owned()).collect();
    services.sort();
    services.dedup();
    let path = circle.iter().fold(event.to_string(), |path, hop| format!("{path} → {} → {}", hop.by, hop.to));
    let endless = circle.iter().all(|hop| hop.only);
    Finding {
        kind: Kind::Cycle,
        severity: if endless { Severity::Error } else { Severity::Warning },
        subject: event.to_string(),
        services,
        what: if endless {
            format!("{event} leads back to itself, and nothing on the way can lead elsewhere")
        } else {
            format!("{event} may lead back to itself, for ever: nobody on the way counts the rounds")
        },
        fix: "let a handler on the way take flow state (`Flow<…>`) and end it after so many rounds, give it a deadline, or \
              use a retry instead"
            .to_owned(),
        details: vec![path],
    }
}
