//! What a service that is gone for good has left on the broker: what still waits for it, and who still needs it.
//!
//! Nothing is deleted here: this is what is to be known before that, and what names it exactly.

mod contract;
mod instances;
mod plan;

use std::fmt;

use laban_wire::{EventType, ServiceName};
use serde::Serialize;

pub use contract::Registered;
pub use instances::{Instance, instances};
pub use plan::{Home, Plan, Position, Purpose, Reader, Timers};

/// Who leaves: a service, or one handler of it, or that handler's reaction to one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The service.
    pub service: ServiceName,
    /// Its handler; all of them when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// The event that the handler does not react to any more; all of them when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventType>,
}

impl Target {
    /// A service as a whole.
    pub fn service(service: ServiceName) -> Self {
        Self { service, handler: None, event: None }
    }

    /// Whether it is a service as a whole.
    pub fn is_whole(&self) -> bool {
        self.handler.is_none()
    }

    /// Whether the reaction of this handler to this event is meant.
    pub(crate) fn means(&self, handler: &str, event: &str) -> bool {
        self.handler.as_deref().is_none_or(|own| own == handler)
            && self.event.as_ref().is_none_or(|own| own.as_str() == event)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.handler, &self.event) {
            (None, _) => write!(f, "service {}", self.service),
            (Some(handler), None) => write!(f, "handler `{handler}` of {}", self.service),
            (Some(handler), Some(event)) => write!(f, "handler `{handler}` of {} on {event}", self.service),
        }
    }
}
