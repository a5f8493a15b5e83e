use std::collections::BTreeSet;

use laban_wire::contract::{Contract, HandlerContract};
use laban_wire::{EventType, Message};
use time::OffsetDateTime;

use crate::replay::Selection;
use crate::replay::selection::wrong;
use crate::{Declared, Error, Home, Mesh, Since};

/// Which reactions are run again: those to the inputs that are selected. All that is said must hold; where several handlers are
/// named, one of them.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// Reactions of these handlers.
    pub handlers: Vec<String>,
    /// To these events, whoever wrote them.
    pub inputs: Selection,
}

impl Chosen {
    pub(super) fn has(&self, message: &Message) -> bool {
        self.has_place(&message.stream, message.seq, message.at)
            && self.has_event(&message.subject.event_type)
    }

    pub(super) fn has_place(&self, stream: &str, seq: u64, at: OffsetDateTime) -> bool {
        let Selection { from_seq, to_seq, .. } = &self.inputs;
        self.has_stream(stream)
            && self.has_time(at)
            && from_seq.is_none_or(|from| seq >= from)
            && to_seq.is_none_or(|to| seq <= to)
    }

    fn has_time(&self, at: OffsetDateTime) -> bool {
        self.inputs.since.is_none_or(|since| at >= since) && self.inputs.until.is_none_or(|until| at < until)
    }

    /// Whether a reaction is chosen whose input is gone, by the time of its record. Streams and sequences are those of inputs.
    pub(super) fn has_orphan(&self, at: OffsetDateTime) -> bool {
        let Selection { from_seq, to_seq, streams, .. } = &self.inputs;
        from_seq.is_none() && to_seq.is_none() && streams.is_empty() && self.has_time(at)
    }

    pub(super) fn has_stream(&self, stream: &str) -> bool {
        self.inputs.streams.is_empty() || self.inputs.streams.iter().any(|name| name == stream)
    }

    pub(super) fn has_event(&self, event: &EventType) -> bool {
        self.inputs.events.is_empty() || self.inputs.events.contains(event)
    }

    pub(super) fn has_handler(&self, handler: &str) -> bool {
        self.handlers.is_empty() || self.handlers.iter().any(|name| name == handler)
    }
}

/// One service's part in a mesh: as it is, and as a build of it would have it.
#[derive(Clone, Debug)]
pub struct Scope<'m> {
    pub(super) home: &'m Home,
    /// The other home streams that hold events that matter.
    pub(super) others: Vec<&'m Home>,
    /// What the service has declared.
    pub(super) declared: Vec<&'m Declared>,
    /// What the build declares.
    pub(super) contract: &'m Contract,
    pub(super) chosen: &'m Chosen,
    /// What is due later has not passed.
    pub(super) now: OffsetDateTime,
}

impl<'m> Scope<'m> {
    /// The part of the service that the contract is of.
    ///
    /// # Errors
    /// When it has no home stream, and [`Error::Selection`] when nothing can be meant.
    pub fn of(mesh: &'m Mesh, contract: &'m Contract, chosen: &'m Chosen) -> Result<Self, Error> {
        let service = contract.service.as_str();
        chosen.inputs.check(mesh)?;
        let Some(home) = mesh.homes.iter().find(|home| home.service == service) else {
            let known: Vec<&str> = mesh.homes.iter().map(|home| home.service.as_str()).collect();
            return Err(wrong(format!(
                "no service `{service}` has a home stream there; these have: {}",
                known.join(", ")
            )));
        };
        let declared: Vec<_> = mesh.reactions.iter().filter(|one| one.service == service).collect();
        let awaited = contract.handlers.iter().filter_map(|handler| handler.deadline.as_ref());
        let awaited = awaited.flat_map(|deadline| &deadline.unless);
        let waited_for = declared.iter().filter_map(|one| one.deadline.as_ref()).flat_map(|one| &one.unless);
        let consumed = contract.handlers.iter().flat_map(|handler| &handler.consumes);
        let services: BTreeSet<&str> = (consumed.chain(awaited).chain(waited_for))
            .chain(declared.iter().map(|one| &one.on))
            .map(EventType::service)
            .collect();
        let others = mesh.homes.iter().filter(|other| other.service != service);
        let others = others.filter(|other| services.contains(other.service.as_str())).collect();
        if chosen.inputs.from_seq.is_some() || chosen.inputs.to_seq.is_some() {
            one_stream(mesh, contract, chosen)?;
        }
        let now = mesh.now().unwrap_or_else(OffsetDateTime::now_utc);
        Ok(Self { home, others, declared, contract, chosen, now })
    }

    pub(super) fn service(&self) -> &str {
        &self.home.service
    }

    /// Where events of this type are.
    pub(super) fn home_of(&self, event: &EventType) -> Option<&'m Home> {
        std::iter::once(&self.home).chain(&self.others).copied().find(|home| home.service == event.service())
    }

    /// What the service has declared of a reaction.
    pub(super) fn declared(&self, handler: &str, on: &EventType) -> Option<&'m Declared> {
        self.declared.iter().copied().find(|one| one.handler == handler && one.on == *on)
    }

    /// The build's handler of this name, if it reacts to this.
    pub(super) fn handler(&self, name: &str, on: &EventType) -> Option<&'m HandlerContract> {
        self.contract.handlers.iter().find(|handler| handler.name == name && handler.consumes.contains(on))
    }
}

/// Sequences are of one stream.
fn one_stream(mesh: &Mesh, contract: &Contract, chosen: &Chosen) -> Result<(), Error> {
    let events = contract.handlers.iter().flat_map(|handler| &handler.consumes);
    let services: BTreeSet<&str> =
        events.filter(|event| chosen.has_event(event)).map(EventType::service).collect();
    let streams = mesh.homes.iter().filter(|home| services.contains(home.service.as_str()));
    let streams: Vec<&str> =
        streams.map(|home| home.stream.as_str()).filter(|name| chosen.has_stream(name)).collect();
    if streams.len() > 1 {
        return Err(wrong(format!(
            "sequences are of one stream, and inputs are in {}: name one stream or event",
            streams.join(", ")
        )));
    }
    Ok(())
}

/// Whether the consumer of a declared reaction got this message.
pub(super) fn gets(declared: &Declared, message: &Message) -> bool {
    match declared.since {
        Since::Ever => true,
        Since::Sequence(first) => message.seq >= first,
        Since::Time(first) => message.at >= first,
    }
}
