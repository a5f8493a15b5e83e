//! What works, and is no choreography: questions with answers, and an order that nothing guarantees.

use laban_wire::EventType;

use super::paths::{Paths, Step, outcomes};
use super::{Finding, Kind, Severity};
use crate::Map;
use crate::map::{Known, MapEvent};

pub(super) fn check(map: &Map, paths: &Paths<'_>, found: &mut Vec<Finding>) {
    found.extend(map.events.iter().filter_map(|event| request_reply(map, event)));
    found.extend(paths.handlers.iter().filter_map(|step| assumed_order(paths, *step)));
}

/// A question: one other service reacts to it, by one handler, and all that comes of that is for the asker alone. An event
/// that begins a flow is no question but news from outside.
fn request_reply(map: &Map, question: &MapEvent) -> Option<Finding> {
    let [asker] = question.emitting_services()[..] else { return None };
    let [place] = &question.consumed_by[..] else { return None };
    if place.service == asker || question.begins() || !question.awaited_by.is_empty() {
        return None;
    }
    let answering = map.service(&place.service)?;
    let handler = answering.contract.handlers.iter().find(|handler| handler.name == place.handler)?;
    let is_for_asker = |answer: &EventType| {
        map.event(answer).is_some_and(|answer| {
            let by_it_alone =
                answer.emitted_by.iter().all(|emitter| emitter.handler.as_ref() == Some(&place.handler));
            let mut heard_by = answer.consumed_by.iter().chain(&answer.awaited_by).peekable();
            by_it_alone && heard_by.peek().is_some() && heard_by.all(|place| place.service == asker)
        })
    };
    let answers: Vec<&EventType> = outcomes(handler).collect();
    if answers.is_empty()
        || !handler.compensates.is_empty()
        || !answers.iter().all(|answer| is_for_asker(answer))
    {
        return None;
    }
    let names = answers.iter().map(|answer| answer.as_str()).collect::<Vec<_>>().join(", ");
    Some(Finding {
        kind: Kind::RequestReply,
        severity: Severity::Warning,
        subject: format!("{}/{}", question.event, answers[0]),
        services: vec![asker.to_owned(), place.service.clone()],
        what: format!(
            "{asker} asks {} by {}, and gets {names} back: nobody else listens to either",
            place.service, question.event
        ),
        fix: format!(
            "let {} react to the fact that made {asker} ask; if {asker} does need an answer before it can go on, a request \
             (HTTP, NATS) says so plainly",
            place.service
        ),
        details: Vec::new(),
    })
}

/// A handler that emits something for each of several events, which come from several streams and may all be in one flow,
/// and that does not look at what came before.
///
/// Exempt: who is known by its consumers only may well look, which they do not tell; who emits nothing has nothing that could come twice; events of one service come in their order; of alternatives
/// only one comes.
fn assumed_order(paths: &Paths<'_>, Step { member, handler }: Step<'_>) -> Option<Finding> {
    if member.known == Known::Consumers
        || handler.reads_flow
        || handler.at_least_once
        || outcomes(handler).next().is_none()
    {
        return None;
    }
    let pairs = handler
        .consumes
        .iter()
        .enumerate()
        .flat_map(|(index, one)| handler.consumes[index + 1..].iter().map(move |other| (one, other)));
    let mut pairs = pairs.filter(|(one, other)| one.service() != other.service());
    let (one, other) = pairs.find(|(one, other)| paths.may_meet(one, other))?;
    let name = &handler.name;
    Some(Finding {
        kind: Kind::AssumedOrder,
        severity: Severity::Warning,
        subject: format!("{}/{name}", member.name()),
        services: vec![member.name().to_owned()],
        what: format!(
            "{name} of {} reacts to {one} and to {other}, which come from two streams in any order, and does not look at \
             what it has done before",
            member.name()
        ),
        fix: "take flow state (`Flow<…>`) and decide by all that has come; if each event means the same on its own, make it \
              two handlers"
            .to_owned(),
        details: Vec::new(),
    })
}
