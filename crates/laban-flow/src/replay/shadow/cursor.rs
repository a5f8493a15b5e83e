//! Which flows there are to look at, and flow by flow what is to be done again.

use std::collections::HashSet;

use laban_wire::{DEAD, FlowId, FlowReader, Message, Stored, Subject};

use super::Scope;
use super::case::{Case, cases};
use super::past::Past;
use crate::Error;

/// Records asked for at a time.
const PAGE: usize = 1_000;
/// An outcome is stored after its input, if the clocks of two brokers are not further apart.
const CLOCKS: time::Duration = time::Duration::MINUTE;

/// How much there is to run again.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The flows, in the order in which they were met.
    pub flows: Vec<FlowId>,
    /// No more reactions than this will be run: so many inputs of the build's handlers are chosen. Some may have had no reaction
    /// yet, or a deadline that did not pass.
    pub most_reactions: u64,
}

/// Finds the flows in which something may be run again. Each stream is read once.
///
/// # Errors
/// When a stream cannot be read to its end.
pub async fn plan(reader: &FlowReader, scope: &Scope<'_>) -> Result<Plan, Error> {
    let (mut plan, mut met) = (Plan::default(), HashSet::new());
    let events: HashSet<_> = scope.contract.handlers.iter().flat_map(|handler| &handler.consumes).collect();
    let mut events: Vec<_> = events.into_iter().filter(|event| scope.chosen.has_event(event)).collect();
    events.sort();
    for event in events {
        let Some(home) = scope.home_of(event).filter(|home| scope.chosen.has_stream(&home.stream)) else {
            continue;
        };
        let reacting = scope.contract.handlers.iter().filter(|handler| handler.consumes.contains(event));
        let reacting = reacting.filter(|handler| scope.chosen.has_handler(&handler.name)).count() as u64;
        walk(reader, &home.stream, event.as_str(), scope, |stored, flow| {
            if reacting > 0 && scope.chosen.has_place(&home.stream, stored.seq, stored.at) {
                plan.most_reactions += reacting;
                if met.insert(flow.clone()) {
                    plan.flows.push(flow);
                }
            }
        })
        .await?;
    }
    // Reactions that the build does not have, or whose input is gone.
    walk(reader, &scope.home.stream, &format!("{}.*", scope.service()), scope, |stored, flow| {
        if scope.chosen.inputs.since.is_some_and(|since| stored.at.saturating_add(CLOCKS) < since) {
            return;
        }
        let Ok(message) = Message::try_from(stored) else { return };
        let Some(reaction) = message.meta.reaction else { return };
        // Where the build has the reaction, its input was met, unless it is gone: then the record stands for it.
        let build_has_it = scope.handler(&reaction.handler, &reaction.on).is_some();
        if build_has_it && !scope.chosen.has_orphan(message.at) {
            return;
        }
        let event = message.subject.event_type;
        let settles = !event.is_system() || matches!(event.event(), DEAD | laban_wire::HANDLED);
        let chosen = scope.chosen.has_event(&reaction.on) && scope.chosen.has_handler(&reaction.handler);
        if settles && chosen && !met.contains(&flow) {
            met.insert(flow.clone());
            plan.flows.push(flow);
        }
    })
    .await?;
    Ok(plan)
}

/// All messages of a stream on `<event>.<flow>`, for the chosen flows.
async fn walk(
    reader: &FlowReader,
    stream: &str,
    event: &str,
    scope: &Scope<'_>,
    mut meet: impl FnMut(Stored, FlowId),
) -> Result<(), Error> {
    let filters: Vec<String> = match scope.chosen.inputs.flows.as_slice() {
        [] => vec![format!("{event}.*")],
        flows => flows.iter().map(|flow| format!("{event}.{}", flow.token())).collect(),
    };
    for filter in filters {
        let mut from = 1;
        loop {
            let (page, more) = reader.page(stream, &filter, from, PAGE).await?;
            from = page.last().map_or(from, |last| last.seq + 1);
            let is_last = !more || page.is_empty();
            for stored in page {
                if let Ok(Subject { flow, .. }) = stored.subject.parse() {
                    meet(stored, flow);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(())
}

/// What is to be run again in a flow, and what is known without that.
///
/// # Errors
/// When a stream cannot be read to its end.
pub async fn cases_of(reader: &FlowReader, scope: &Scope<'_>, flow: &FlowId) -> Result<Vec<Case>, Error> {
    let past = Past::read(reader, scope, flow).await?;
    Ok(cases(scope, flow, &past))
}
