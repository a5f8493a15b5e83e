use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::EventType;

/// A place in the bodies of an event type that may differ: `payment.captured:/captured_at`, with a JSON pointer (RFC
/// 6901). An empty pointer is the whole body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ignore {
    /// Of which events.
    pub event: EventType,
    /// Where in their bodies.
    pub pointer: String,
}

impl Ignore {
    /// Takes the place out of a body; one that is not there is no matter.
    pub fn remove_from(&self, body: &mut Value) {
        let Some((parent, last)) = self.pointer.rsplit_once('/') else {
            *body = Value::Null;
            return;
        };
        let last = last.replace("~1", "/").replace("~0", "~");
        match body.pointer_mut(parent) {
            Some(Value::Object(members)) => drop(members.remove(&last)),
            // The other items keep their places.
            Some(Value::Array(items)) => {
                if let Some(item) = last.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                    *item = Value::Null;
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Ignore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.event, self.pointer)
    }
}

impl FromStr for Ignore {
    type Err = InvalidIgnore;
    fn from_str(text: &str) -> Result<Self, InvalidIgnore> {
        let invalid = || InvalidIgnore(text.to_owned());
        let (event, pointer) = text.split_once(':').ok_or_else(invalid)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(invalid());
        }
        Ok(Self { event: event.parse().map_err(|_| invalid())?, pointer: pointer.to_owned() })
    }
}

impl TryFrom<String> for Ignore {
    type Error = InvalidIgnore;
    fn try_from(text: String) -> Result<Self, InvalidIgnore> {
        text.parse()
    }
}

impl From<Ignore> for String {
    fn from(ignore: Ignore) -> Self {
        ignore.to_string()
    }
}

/// A text that names no place in an event's body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place in an event's body: it is `<service>.<event>:/<member>`, such as payment.captured:/captured_at"
)]
pub struct InvalidIgnore(String);
