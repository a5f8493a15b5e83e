//! Which changes of an event's shape break somebody.
//!
//! Two kinds of reader are asked. Programs that were built with the old shape read what is written from now on; programs
//! with the new shape read what the streams still hold. So a change breaks when a field is gone or may be, when a new one is
//! required, and when what could be written before cannot be read any more.
//!
//! A field that may be missing can be taken away again, as a rollback does: nobody could rely on it.
//!
//! What only *widens* (a larger number, a new variant) breaks nothing by itself: whoever is to understand the new values is
//! to be deployed first.

mod compare;
mod shape;
mod tag;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::EventType;
use crate::contract::{Contract, EventContract};

/// One change of a shape that breaks readers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Break {
    /// Where: `lines[].quantity`, `prices.*` for the values of a map, `method[kind=card].number` for a field of one variant.
    /// Empty for the body as a whole.
    pub path: String,
    /// What kind of change.
    pub kind: BreakKind,
    /// The same in words: `was text, is now a whole number`.
    pub what: String,
}

/// What kind of change breaks readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakKind {
    /// A field is gone that was always there, or that the new shape refuses.
    RemovedField,
    /// A field is required that was not there before, or was not required.
    NewRequiredField,
    /// A field that was always there may be missing, or null.
    NoLongerRequired,
    /// A new field, and readers of the old shape refuse fields that they do not know.
    RefusedField,
    /// One of several choices is gone.
    RemovedVariant,
    /// Another type altogether.
    ChangedType,
    /// Fewer values than before.
    NarrowedType,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "the body {}", self.what),
            path => write!(f, "`{path}` {}", self.what),
        }
    }
}

/// What of a change from one JSON Schema to another breaks readers, as `schemars` writes them. Empty when nothing does.
///
/// ```
/// use laban_wire::compatibility::{BreakKind, breaks};
/// use serde_json::json;
///
/// let old = json!({"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]});
/// let new = json!({"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]});
/// let found = breaks(&old, &new);
/// assert_eq!(found[0].kind, BreakKind::ChangedType);
/// assert_eq!(found[0].to_string(), "`id` was text, is now a whole number");
/// ```
pub fn breaks(old: &Value, new: &Value) -> Vec<Break> {
    compare::Comparison::of(old, new).run()
}

/// An event type that a contract breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BrokenEvent {
    /// The event type.
    pub event: EventType,
    /// The version that was registered.
    pub old_version: u32,
    /// The version that it is to have now.
    pub new_version: u32,
    /// What breaks. Empty when the version goes back, which breaks whatever the shapes are.
    pub breaks: Vec<Break>,
}

impl BrokenEvent {
    /// What `new` breaks of `old`, which is the same event type, if anything.
    pub fn of(old: &EventContract, new: &EventContract) -> Option<Self> {
        let breaks = if old.version == new.version { breaks(&old.schema, &new.schema) } else { Vec::new() };
        (new.version < old.version || !breaks.is_empty()).then(|| Self {
            event: new.event.clone(),
            old_version: old.version,
            new_version: new.version,
            breaks,
        })
    }
}

impl fmt::Display for BrokenEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, old_version, new_version, breaks } = self;
        if breaks.is_empty() {
            return write!(
                f,
                "{event} is of version {new_version}, and version {old_version} is registered: events of that version are in \
                 the stream, and would not be understood; keep version {old_version}"
            );
        }
        write!(f, "{event} version {old_version} has changed in a way that breaks its readers: ")?;
        for (index, one) in breaks.iter().enumerate() {
            write!(f, "{}{one}", if index == 0 { "" } else { "; " })?;
        }
        write!(
            f,
            "; make it version {next}, and keep version {old_version} as a type of its own, with `from = ThatType` in the \
             new one's #[event(…)] and an `impl From<ThatType>`",
            next = old_version.saturating_add(1)
        )
    }
}

/// What a service's new contract breaks of its old one: of the events that it is named for, and so alone may emit.
///
/// An event that it no longer emits breaks nobody: there are none of it any more.
pub fn broken_events(old: &Contract, new: &Contract) -> Vec<BrokenEvent> {
    let own = new.events.iter().filter(|event| event.event.service() == new.service.as_str());
    own.filter_map(|event| {
        let before = old.events.iter().find(|before| before.event == event.event)?;
        BrokenEvent::of(before, event)
    })
    .collect()
}
