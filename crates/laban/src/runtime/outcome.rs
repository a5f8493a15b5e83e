//! A handler's outcome as the messages that will say it.

use laban_wire::{EventId, Handled, Payload, Reaction, StoredInput};
use opentelemetry::Context;

use super::drafts::Draft;
use super::handling::{Handling, Task};
use crate::outcome::Outgoing;
use crate::telemetry::end_send_span;

/// What is kept of the messages that a reaction writes.
pub(super) struct Written {
    /// How many of them are in the flow of the cause.
    pub(super) in_flow: usize,
    spans: Vec<Context>,
}

impl Written {
    /// The messages: first what is in the flow of the cause, under the fence at least one record, then what is in other
    /// flows.
    pub(super) fn of(
        handling: &Handling,
        task: &Task<'_>,
        events: Vec<Outgoing>,
        reaction: Reaction,
        context: &Context,
    ) -> (Vec<Draft>, Self) {
        let core = &handling.core;
        let (mut here, mut elsewhere, mut spans) = (Vec::new(), Vec::new(), Vec::new());
        for (index, event) in events.into_iter().enumerate() {
            let id = EventId::derived(task.ids_from, core.service.as_str(), &handling.handler, index);
            let span = handling.spans.send(context, &event, id);
            let drafts = if event.subject.flow == *task.flow() { &mut here } else { &mut elsewhere };
            drafts.push(core.drafting.event(event, id, Some(reaction.clone()), &span));
            spans.push(span);
        }
        // What makes the reaction happen once is its record in the flow of its cause.
        if here.is_empty() && handling.definition.fenced {
            let body = Handled { input: remembered(handling, task) };
            here.push(core.drafting.handled(task.flow(), &body, reaction, context));
        }
        let in_flow = here.len();
        here.append(&mut elsewhere);
        (here, Self { in_flow, spans })
    }

    /// Ends the spans of publishing; `failed` says why nothing was published after all.
    pub(super) fn end_spans(&self, failed: Option<&str>) {
        for span in &self.spans {
            end_send_span(span, failed);
        }
    }
}

/// A handler that reads flow state may need this input again, for a later reaction.
fn remembered(handling: &Handling, task: &Task<'_>) -> Option<StoredInput> {
    handling.definition.reads_flow.then(|| StoredInput {
        event: task.message.subject.event_type.clone(),
        version: task.message.meta.version,
        payload: Payload::of(&task.message.payload),
    })
}
