//! The map: all contracts joined, so that it is seen who reacts to what.

mod asyncapi;
mod discover;
mod mermaid;
mod sources;
mod style;
mod svg;
mod text;
mod traffic;

use std::collections::BTreeMap;

use laban_wire::EventType;
use laban_wire::contract::{Contract, HandlerContract};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use asyncapi::About;
pub(crate) use discover::is_deleted;
pub use sources::{ContractError, read_contracts};
pub use style::MapStyle;
pub use traffic::{EdgeTraffic, Traffic};

/// All contracts joined: who emits what, and who reacts to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// Its services, by name.
    pub services: Vec<Member>,
    /// Every event type that a contract names, by name.
    pub events: Vec<MapEvent>,
    /// What was on its way while it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What could not be understood and is not on it, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A service on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// How it is known.
    pub known: Known,
    /// Where its contract was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What it consumes and emits.
    #[serde(flatten)]
    pub contract: Contract,
}

/// How a service is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// By its contract: all of it.
    Contract,
    /// By its home stream and its consumers only: where it begins flows, and the shape of its events, are unknown.
    Consumers,
}

/// An event type on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapEvent {
    /// `<service>.<event>`.
    pub event: EventType,
    /// Its version as its emitter has it, where a contract says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Who emits it.
    pub emitted_by: Vec<Emitter>,
    /// Who reacts to it.
    pub consumed_by: Vec<Place>,
    /// Whose deadline waits for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub awaited_by: Vec<Place>,
}

/// A handler of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The service.
    pub service: String,
    /// Its handler.
    pub handler: String,
}

/// Who emits an event, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emitter {
    /// The service.
    pub service: String,
    /// Its handler; nothing where a flow begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// As what.
    #[serde(rename = "as")]
    pub role: Role,
}

/// What an event is to its emitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It begins a flow.
    Beginning,
    /// It may come of a handler that succeeds.
    Success,
    /// It may come of a handler that fails.
    Failure,
}

impl Map {
    /// Joins services, each known once.
    ///
    /// # Errors
    /// When two of them have one name.
    pub fn join(members: impl IntoIterator<Item = Member>) -> Result<Self, ContractError> {
        let mut services = BTreeMap::new();
        for member in members {
            let name = member.contract.service.clone();
            let origin = member.origin.clone();
            if let Some(other) = services.insert(name.clone(), member) {
                return Err(ContractError::Twice { service: name, origins: [other.origin, origin] });
            }
        }
        let services: Vec<Member> = services.into_values().collect();
        let events = events(&services);
        Ok(Self { services, events, ..Self::default() })
    }

    /// The event type, if it is on the map.
    pub fn event(&self, event: &EventType) -> Option<&MapEvent> {
        let found = self.events.binary_search_by(|mapped| mapped.event.cmp(event));
        found.ok().map(|index| &self.events[index])
    }

    /// The service, if it is on the map.
    pub fn service(&self, name: &str) -> Option<&Member> {
        self.services.iter().find(|member| member.name() == name)
    }

    /// All handlers with their services, in the order of the services.
    pub fn handlers(&self) -> impl Iterator<Item = (&Member, &HandlerContract)> {
        self.services.iter().flat_map(|member| member.contract.handlers.iter().map(move |h| (member, h)))
    }

    /// The JSON Schema of an event's body as its emitter has it; as another service has it, where the emitter does not say.
    pub fn schema(&self, event: &EventType) -> Option<&Value> {
        let named = |member: &'_ Member| member.name() == event.service();
        let (own, others): (Vec<_>, Vec<_>) = self.services.iter().partition(|member| named(member));
        let mut all = own.into_iter().chain(others).flat_map(|member| &member.contract.events);
        all.find(|known| known.event == *event).map(|known| &known.schema)
    }
}

impl Member {
    /// A service known by its contract.
    pub fn of(contract: Contract, origin: Option<String>) -> Self {
        Self { known: Known::Contract, origin, contract }
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        self.contract.service.as_str()
    }
}

impl MapEvent {
    fn new(event: EventType) -> Self {
        Self { event, version: None, emitted_by: Vec::new(), consumed_by: Vec::new(), awaited_by: Vec::new() }
    }

    /// The services that emit it, each once.
    pub fn emitting_services(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.emitted_by.iter().map(|emitter| emitter.service.as_str()).collect();
        names.dedup();
        names
    }

    /// Whether flows begin with it.
    pub fn begins(&self) -> bool {
        self.emitted_by.iter().any(|emitter| emitter.role == Role::Beginning)
    }
}

fn events(services: &[Member]) -> Vec<MapEvent> {
    let mut events = BTreeMap::<EventType, MapEvent>::new();
    fn of<'m>(events: &'m mut BTreeMap<EventType, MapEvent>, event: &EventType) -> &'m mut MapEvent {
        events.entry(event.clone()).or_insert_with(|| MapEvent::new(event.clone()))
    }
    for member in services {
        let service = member.name();
        let emitter = |handler: Option<&HandlerContract>, role| Emitter {
            service: service.to_owned(),
            handler: handler.map(|handler| handler.name.clone()),
            role,
        };
        for event in &member.contract.begins {
            of(&mut events, event).emitted_by.push(emitter(None, Role::Beginning));
        }
        for handler in &member.contract.handlers {
            let place = || Place { service: service.to_owned(), handler: handler.name.clone() };
            for event in &handler.consumes {
                of(&mut events, event).consumed_by.push(place());
            }
            for event in &handler.emits {
                of(&mut events, event).emitted_by.push(emitter(Some(handler), Role::Success));
            }
            for event in &handler.fails_with {
                of(&mut events, event).emitted_by.push(emitter(Some(handler), Role::Failure));
            }
            for event in handler.deadline.iter().flat_map(|deadline| &deadline.unless) {
                of(&mut events, event).awaited_by.push(place());
            }
            for event in &handler.compensates {
                of(&mut events, event);
            }
        }
        for known in &member.contract.events {
            let event = of(&mut events, &known.event);
            if event.version.is_none() || known.event.service() == service {
                event.version = Some(known.version);
            }
        }
    }
    events.into_values().collect()
}
