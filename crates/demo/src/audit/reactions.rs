use std::collections::BTreeMap;

use laban_wire::{Message, RETRYING};

use crate::History;

/// What happened more than once, in sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeated {
    /// Flows that were begun more than once.
    pub beginnings: Vec<String>,
    /// Reactions with more than one outcome.
    pub reactions: Vec<String>,
}

/// What happened more than once, by every record there is.
///
/// The shop's handlers have one outcome each: an event, or the note that there was none.
pub fn repeated(history: &History) -> Repeated {
    let mut findings = Repeated::default();
    for id in history.ids() {
        let mut outcomes = BTreeMap::<_, Vec<String>>::new();
        let mut beginnings = 0;
        for stored in history.messages(id) {
            let Ok(message) = Message::try_from(stored.clone()) else { continue };
            let event = &message.subject.event_type;
            match message.meta.reaction {
                None => beginnings += usize::from(event.as_str() == "order.placed"),
                Some(_) if event.event() == RETRYING => {}
                Some(reaction) => {
                    let work = (event.service().to_owned(), reaction.handler, reaction.cause);
                    outcomes
                        .entry(work)
                        .or_default()
                        .push(format!("{event} ({} {})", stored.stream, stored.seq));
                }
            }
        }
        if beginnings > 1 {
            findings.beginnings.push(format!("flow {id}: it was begun {beginnings} times"));
        }
        for ((service, handler, cause), outcomes) in outcomes {
            if outcomes.len() > 1 {
                let outcomes = outcomes.join(", ");
                findings
                    .reactions
                    .push(format!("flow {id}: {service} {handler} reacted to {cause} with {outcomes}"));
            }
        }
    }
    findings
}
