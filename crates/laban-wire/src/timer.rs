use serde::{Deserialize, Serialize};

use crate::{EventId, FlowId, ServiceName, home_stream};

/// A timer of a deadline: what the broker is asked to hand back when the time has passed, in the timer stream of the
/// service whose handler waits.
///
/// It names the input and does not repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// The stream that holds the input.
    pub stream: String,
    /// The input's sequence there.
    pub seq: u64,
    /// The input's subject.
    pub subject: String,
    /// The input's id.
    pub id: EventId,
}

impl Timer {
    /// The name of the timer stream of `service`. No service's name has a `_`, so it is no home stream.
    pub fn stream_of(service: &ServiceName) -> String {
        home_stream(service) + "_TIMERS"
    }

    /// What the timer stream of `service` takes: timers that wait, and those that are due.
    pub fn subjects_of(service: &ServiceName) -> [String; 2] {
        [format!("_timers.{service}.*.*.*"), Self::all_due(service)]
    }

    /// Where the timer of `handler` for one input waits. Set again, it replaces itself.
    pub fn waiting(service: &ServiceName, handler: &str, flow: &FlowId, input: EventId) -> String {
        format!("_timers.{service}.{handler}.{}.{input}", flow.token())
    }

    /// All timers of `handler` that wait in `flow`.
    pub fn all_waiting(service: &ServiceName, handler: &str, flow: &FlowId) -> String {
        format!("_timers.{service}.{handler}.{}.*", flow.token())
    }

    /// All timers of `handler` that wait, in whatever flow.
    pub fn all_of(service: &ServiceName, handler: &str) -> String {
        format!("_timers.{service}.{handler}.*.*")
    }

    /// All timers of `handler` that are due, in whatever flow.
    pub fn all_due_of(service: &ServiceName, handler: &str) -> String {
        format!("_due.{service}.{handler}.*")
    }

    /// Where a timer of `handler` comes to when its time has passed.
    pub fn due(service: &ServiceName, handler: &str, flow: &FlowId) -> String {
        format!("_due.{service}.{handler}.{}", flow.token())
    }

    /// All timers of `service` that are due.
    pub fn all_due(service: &ServiceName) -> String {
        format!("_due.{service}.*.*")
    }

    /// The handler that the subject of a due timer names.
    pub fn handler_of(due: &str) -> Option<&str> {
        due.strip_prefix("_due.")?.split('.').nth(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_part_of_the_wire_format() {
        let (service, flow) = ("order".parse().unwrap(), FlowId::new("a b").unwrap());
        let id: EventId = "0199f3c2-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(Timer::stream_of(&service), "ORDER_TIMERS");
        assert_eq!(
            Timer::waiting(&service, "give_up", &flow, id),
            "_timers.order.give_up.a%20b.0199f3c2-0000-7000-8000-000000000001"
        );
        assert_eq!(Timer::all_waiting(&service, "give_up", &flow), "_timers.order.give_up.a%20b.*");
        let due = Timer::due(&service, "give_up", &flow);
        assert_eq!(due, "_due.order.give_up.a%20b");
        assert_eq!(Timer::all_of(&service, "give_up"), "_timers.order.give_up.*.*");
        assert_eq!(Timer::all_due_of(&service, "give_up"), "_due.order.give_up.*");
        assert_eq!(Timer::handler_of(&due), Some("give_up"));
        assert_eq!(Timer::handler_of("order.placed.4711"), None);
    }
}
