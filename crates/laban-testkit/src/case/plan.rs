//! What is given to a service, what is awaited of it, and in which order.

use std::collections::{HashMap, HashSet};

use laban_wire::EventId;
use laban_wire::case::{Case, CaseRecord, CaseWhat, CaseWork};

/// The way through a case.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) acts: Vec<Act>,
    /// What the service did, in the order in which it did it.
    pub(super) expected: Vec<Expected>,
}

/// One step; the numbers are places in the case's records, and in [`Plan::expected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// An event is given to the service.
    Give(usize),
    /// The service reacts.
    Await(usize),
}

/// A reaction, and the places of its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) work: CaseWork,
    pub(super) outcome: Vec<usize>,
}

impl Plan {
    /// The plan for one service.
    ///
    /// What the service knows of a flow is what it did itself, so the order of its own records is what counts. An event of
    /// another service that it reacted to is given when that reaction's turn has come: given together, two events might be
    /// reacted to in another order than they were. All else is given where it stands.
    pub(super) fn of(case: &Case, service: &str) -> Self {
        let records = case.records();
        let events: HashMap<EventId, usize> =
            records.iter().enumerate().filter_map(|(place, record)| Some((record.id()?, place))).collect();
        let is_expected = |record: &CaseRecord| {
            let work = record.work.as_ref().filter(|_| record.event.service() == service);
            work.is_some_and(|work| events.contains_key(&work.cause))
        };
        let awaits_turn: HashSet<EventId> = records
            .iter()
            .filter(|record| is_expected(record))
            .filter_map(|record| Some(record.work.as_ref()?.cause))
            .filter(|cause| records[events[cause]].event.service() != service)
            .collect();
        let mut plan = Self { acts: Vec::new(), expected: Vec::new() };
        let (mut reactions, mut given) = (HashMap::new(), HashSet::new());
        for (place, record) in records.iter().enumerate() {
            match &record.work {
                Some(work) if is_expected(record) => {
                    let reaction =
                        *reactions.entry((work.cause, work.handler.as_str())).or_insert_with(|| {
                            if awaits_turn.contains(&work.cause) && given.insert(work.cause) {
                                plan.acts.push(Act::Give(events[&work.cause]));
                            }
                            plan.acts.push(Act::Await(plan.expected.len()));
                            plan.expected.push(Expected { work: work.clone(), outcome: Vec::new() });
                            plan.expected.len() - 1
                        });
                    plan.expected[reaction].outcome.push(place);
                }
                // What others ended without an event is no news to anybody.
                _ if !matches!(record.what, CaseWhat::Event { .. }) => {}
                _ if record.id().is_some_and(|id| awaits_turn.contains(&id)) => {}
                _ => plan.acts.push(Act::Give(place)),
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(number: u32) -> String {
        format!("0199f3c2-0000-7000-8000-{number:012}")
    }

    fn root(number: u32, event: &str) -> serde_json::Value {
        json!({"event": event, "id": id(number), "body": {}})
    }

    fn reaction(number: u32, event: &str, cause: u32, on: &str, handler: &str) -> serde_json::Value {
        json!({"event": event, "id": id(number), "cause": id(cause), "on": on, "handler": handler, "body": {}})
    }

    fn handled(service: &str, cause: u32, on: &str, handler: &str) -> serde_json::Value {
        let event = format!("{service}._handled");
        json!({"event": event, "cause": id(cause), "on": on, "handler": handler})
    }

    fn plan(service: &str, records: &[serde_json::Value]) -> (Vec<String>, Plan) {
        let case = json!({"laban_case": 1, "flow": "4711", "records": records});
        let case = Case::parse(case.to_string().as_bytes()).unwrap();
        let plan = Plan::of(&case, service);
        let told = plan.acts.iter().map(|act| match *act {
            Act::Give(place) => format!("give {}", case.records()[place].event),
            Act::Await(reaction) => {
                let CaseWork { on, handler, .. } = &plan.expected[reaction].work;
                format!("await {handler} of {on}")
            }
        });
        (told.collect(), plan)
    }

    /// A join, the halves of which stand side by side in the file.
    #[test]
    fn events_are_given_when_the_reaction_to_them_has_its_turn() {
        let records = [
            root(1, "order.placed"),
            reaction(2, "payment.captured", 1, "order.placed", "charge"),
            reaction(3, "inventory.reserved", 1, "order.placed", "reserve"),
            handled("shipping", 3, "inventory.reserved", "dispatch"),
            reaction(4, "shipping.dispatched", 2, "payment.captured", "dispatch"),
        ];
        let (told, _) = plan("shipping", &records);
        let expected = [
            "give order.placed",
            "give inventory.reserved",
            "await dispatch of inventory.reserved",
            "give payment.captured",
            "await dispatch of payment.captured",
        ];
        assert_eq!(told, expected);
        let (told, _) = plan("payment", &records);
        let expected = [
            "give order.placed",
            "await charge of order.placed",
            "give inventory.reserved",
            "give shipping.dispatched",
        ];
        assert_eq!(told, expected, "what nobody reacts to is given where it stands");
    }

    #[test]
    fn what_the_service_began_itself_is_given_and_what_came_of_it_is_awaited() {
        let records = [
            root(1, "order.placed"),
            reaction(2, "payment.declined", 1, "order.placed", "charge"),
            handled("inventory", 1, "order.placed", "reserve"),
            reaction(3, "order.cancelled", 2, "payment.declined", "close"),
            reaction(4, "order.noted", 2, "payment.declined", "close"),
            reaction(5, "order.filed", 3, "order.cancelled", "file"),
            reaction(6, "order.moved", 77, "yard.full", "move"),
        ];
        let (told, plan) = plan("order", &records);
        let expected = [
            "give order.placed",
            "give payment.declined",
            "await close of payment.declined",
            "await file of order.cancelled",
            "give order.moved",
        ];
        assert_eq!(told, expected, "an event whose cause is of another flow is given");
        let outcomes: Vec<_> = plan.expected.iter().map(|expected| expected.outcome.as_slice()).collect();
        assert_eq!(outcomes, [&[3, 4][..], &[5]]);
    }

    #[test]
    fn two_handlers_of_one_event_are_given_it_once() {
        let records = [
            root(1, "order.placed"),
            reaction(2, "payment.captured", 1, "order.placed", "charge"),
            handled("payment", 1, "order.placed", "note"),
        ];
        let (told, _) = plan("payment", &records);
        let expected = ["give order.placed", "await charge of order.placed", "await note of order.placed"];
        assert_eq!(told, expected);
    }
}
