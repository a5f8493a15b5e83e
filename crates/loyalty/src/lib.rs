#![doc = include_str!("../README.md")]

pub mod earn;
pub mod events;

use laban::Service;

/// The service. It has no database: what it knows of an order, its own records of the flow say.
pub fn service() -> Service {
    Service::new("loyalty").version(env!("CARGO_PKG_VERSION")).on(earn::earn)
}

#[cfg(test)]
mod tests {
    use crate::service;

    #[test]
    fn it_needs_two_events_of_another_service_and_of_these_only_what_it_reads() {
        let contract = service().contract().unwrap();
        let [earn] = &contract.handlers[..] else { panic!("one handler: {contract:?}") };
        let names = |events: &[laban::EventType]| events.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&earn.consumes), ["order.placed", "order.completed"]);
        assert_eq!(names(&earn.emits), ["loyalty.points-earned"]);
        assert!(!earn.skips_history, "what happened before it was there counts as well");
        let placed = contract.events.iter().find(|event| event.event.as_str() == "order.placed");
        let fields = placed.unwrap().schema["properties"].as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["customer", "order_id", "total_cents"]);
    }
}
