use std::collections::BTreeMap;
use std::time::Duration;

use laban_wire::EventType;
use time::OffsetDateTime;

use crate::Step;

/// A reaction that a service has declared by its durable consumer: this handler reacts to this event type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The service that reacts.
    pub service: String,
    /// Its handler.
    pub handler: String,
    /// The event type reacted to.
    pub on: EventType,
    /// The event types whose effect it undoes; empty unless it is a compensation.
    pub compensates: Vec<EventType>,
    /// The event types it may emit, where it says so.
    pub emits: Vec<EventType>,
    /// Which events it gets at all.
    pub since: Since,
    /// What must follow for it not to react at all.
    pub deadline: Option<Deadline>,
    /// It takes effect at least once and leaves no record when it emits nothing: nobody can tell what it still owes.
    pub at_least_once: bool,
}

/// A handler's deadline: it reacts unless one of these events is in the flow in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Any of these.
    pub unless: Vec<EventType>,
    /// Within this time after the event reacted to.
    pub within: Duration,
}

impl Deadline {
    /// When it passes for this event.
    pub(crate) fn due_at(&self, step: &Step) -> Option<OffsetDateTime> {
        step.at.checked_add(self.within.try_into().ok()?)
    }
}

/// From where on a consumer reads its stream: it owes nothing about earlier events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From the first event the stream holds.
    Ever,
    /// From this sequence on.
    Sequence(u64),
    /// From this time on, by the broker's clock.
    Time(OffsetDateTime),
}

impl Declared {
    /// Whether it must leave a record of this event.
    pub(crate) fn owes(&self, step: &Step) -> bool {
        !self.at_least_once && self.gets(step)
    }

    /// Whether its consumer gets this event.
    fn gets(&self, step: &Step) -> bool {
        match self.since {
            Since::Ever => true,
            Since::Sequence(first) => step.seq >= first,
            Since::Time(first) => step.at >= first,
        }
    }
}

/// Who reacts to what: all declared reactions, by event type.
#[derive(Clone, Debug, Default)]
pub struct Reactions(BTreeMap<EventType, Vec<Declared>>);

impl Reactions {
    /// Those that react to this event type.
    pub fn to(&self, event: &EventType) -> &[Declared] {
        self.0.get(event).map_or(&[], Vec::as_slice)
    }

    /// All of them, ordered by event type, service and handler.
    pub fn iter(&self) -> impl Iterator<Item = &Declared> {
        self.0.values().flatten()
    }

    /// Whether what `handler` of `service` makes of `on` is a compensation.
    pub(crate) fn is_compensation(&self, service: &str, handler: &str, on: &EventType) -> bool {
        let same = |declared: &&Declared| declared.service == service && declared.handler == handler;
        self.to(on).iter().filter(same).any(|declared| !declared.compensates.is_empty())
    }
}

impl FromIterator<Declared> for Reactions {
    fn from_iter<I: IntoIterator<Item = Declared>>(all: I) -> Self {
        let mut by_event = BTreeMap::<EventType, Vec<Declared>>::new();
        for declared in all {
            by_event.entry(declared.on.clone()).or_default().push(declared);
        }
        for same in by_event.values_mut() {
            same.sort_by(|a, b| (&a.service, &a.handler).cmp(&(&b.service, &b.handler)));
        }
        Self(by_event)
    }
}
