use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// `[a-z][a-z0-9-]*`, at most 64 bytes: what a service and an event may be called.
fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A service's name: `[a-z][a-z0-9-]*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Text);

impl ServiceName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        if is_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName(name.to_owned(), "a service's name"))
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<Self, InvalidName> {
        name.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0.to_string()
    }
}

/// An event type's full name, `<service>.<event>`: `payment.captured`.
///
/// The first half is the only service that may write it. A system record's event starts with `_`
/// ([`is_system`](Self::is_system)).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType {
    name: Text,
    dot: usize,
}

impl EventType {
    /// The type of a system record of `service`: `payment._handled`.
    pub fn system(service: &ServiceName, record: &'static str) -> Self {
        debug_assert!(record.starts_with('_'));
        Self { dot: service.as_str().len(), name: format!("{service}.{record}").into() }
    }

    /// A type whose name is known to be well formed, such as one checked by `derive(Event)` at compile time.
    ///
    /// # Panics
    /// When the name has no dot.
    pub fn from_static(name: &'static str) -> Self {
        let dot = name.find('.').expect("an event's name is `<service>.<event>`");
        Self { name: Text::Static(name), dot }
    }

    /// The service that writes it.
    pub fn service(&self) -> &str {
        &self.name[..self.dot]
    }

    /// The event's own name, in the past tense.
    pub fn event(&self) -> &str {
        &self.name[self.dot + 1..]
    }

    /// `<service>.<event>`.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether this is a record of the framework rather than a business event.
    pub fn is_system(&self) -> bool {
        self.event().starts_with('_')
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventType({})", &*self.name)
    }
}

impl FromStr for EventType {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        match name.split_once('.') {
            Some((service, event))
                if is_name(service) && is_name(event.strip_prefix('_').unwrap_or(event)) =>
            {
                Ok(Self { dot: service.len(), name: name.into() })
            }
            _ => Err(InvalidName(name.to_owned(), "an event's name is `<service>.<event>`; each")),
        }
    }
}

impl TryFrom<String> for EventType {
    type Error = InvalidName;
    fn try_from(name: String) -> Result<Self, InvalidName> {
        name.parse()
    }
}

impl From<EventType> for String {
    fn from(name: EventType) -> Self {
        name.name.to_string()
    }
}

/// A name outside `[a-z][a-z0-9-]*`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}`: {1} is lower-case letters, digits and `-`, starts with a letter, and has at most 64 bytes")]
pub struct InvalidName(String, &'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        let event: EventType = "payment.captured".parse().unwrap();
        assert_eq!((event.service(), event.event()), ("payment", "captured"));
        assert!(!event.is_system());
        let handled = EventType::system(&"payment".parse().unwrap(), "_handled");
        assert_eq!(handled, "payment._handled".parse().unwrap());
        assert!(handled.is_system());
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "payment", "Payment.x", "payment.", ".x", "a.b.c", "1a.b", "a.b_c", "a.*", "a.>"] {
            assert!(name.parse::<EventType>().is_err(), "{name}");
        }
        assert!("x".repeat(65).parse::<ServiceName>().is_err());
    }
}
