use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use laban_wire::{EventType, Message};

use crate::event::in_words;
use crate::extract::Call;
use crate::outcome::End;
use crate::{BoxError, EventInfo, Retry};

/// A handler with its options, made by the methods of [`Handler`](crate::Handler); give it to
/// [`Service::on`](crate::Service::on).
#[derive(Clone)]
pub struct Definition {
    pub(crate) name: Cow<'static, str>,
    pub(crate) consumes: Vec<EventInfo>,
    /// On success.
    pub(crate) emits: Vec<EventInfo>,
    /// On failure, as facts that others may react to.
    pub(crate) fails_with: Vec<EventInfo>,
    pub(crate) compensates: Vec<EventType>,
    pub(crate) needs: Vec<(TypeId, &'static str)>,
    pub(crate) reads_flow: bool,
    pub(crate) fenced: bool,
    pub(crate) start: Start,
    pub(crate) retry: Retry,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) run: Arc<dyn Run>,
}

/// What must follow an input, and within which time, for its handler not to run.
#[derive(Clone, Debug)]
pub(crate) struct Deadline {
    /// Any of these.
    pub(crate) unless: Vec<EventType>,
    pub(crate) within: Duration,
}

impl Deadline {
    pub(crate) fn within_ms(&self) -> u64 {
        crate::contract::millis(self.within)
    }
}

/// Where a handler's first consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the oldest event that the stream holds: nothing is lost.
    Oldest,
    /// With the next one.
    Now,
}

/// The erased function.
pub(crate) trait Run: Send + Sync {
    /// Decodes the input and makes the run.
    ///
    /// # Errors
    /// When the input does not decode.
    fn run(&self, call: Call) -> Result<Pin<Box<dyn Future<Output = End> + Send>>, BoxError>;
}

impl Definition {
    pub(crate) fn new(name: &'static str, run: Arc<dyn Run>) -> Self {
        Self {
            name: name.into(),
            consumes: Vec::new(),
            emits: Vec::new(),
            fails_with: Vec::new(),
            compensates: Vec::new(),
            needs: Vec::new(),
            reads_flow: false,
            fenced: true,
            start: Start::Oldest,
            retry: Retry::default(),
            concurrency: 64,
            timeout: Duration::from_secs(60),
            deadline: None,
            run,
        }
    }

    /// All that may come of it, whether it succeeds or fails.
    pub(crate) fn all_emits(&self) -> impl Iterator<Item = &EventInfo> {
        self.emits.iter().chain(&self.fails_with)
    }

    /// The versions of `event` that this handler takes, the newest first.
    pub(crate) fn versions_of(&self, event: &EventType) -> &[u32] {
        self.consumes.iter().find(|info| info.event == *event).map_or(&[], |info| &info.versions)
    }

    /// Whether the message is of a version that this handler takes; one that says none may be.
    pub(crate) fn version_known(&self, message: &Message) -> Result<(), String> {
        let event = &message.subject.event_type;
        let known = self.versions_of(event);
        match message.meta.version {
            Some(version) if !known.contains(&version) => Err(format!(
                "{event} is of version {version}; handler `{}` knows {}",
                self.name,
                in_words(known)
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |events: &[EventInfo]| events.iter().map(|info| info.event.to_string()).collect::<Vec<_>>();
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("consumes", &names(&self.consumes))
            .field("emits", &names(&self.emits))
            .finish_non_exhaustive()
    }
}
