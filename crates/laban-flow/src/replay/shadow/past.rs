//! What a service has done about one flow, as the streams tell it.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::shadow::{Emitted, Outcome, Trouble};
use laban_wire::{
    Asked, DEAD, Dead, EventId, FlowId, FlowReader, HANDLED, Handled, Message, REDRIVE, Reaction, Stored,
    Subject,
};

use super::Scope;
use crate::mesh::AT_ONCE;
use crate::{Error, Home};

/// A record that was stored, and what it says.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) stored: Stored,
    pub(super) message: Message,
}

impl Known {
    fn of(stored: Stored) -> Option<Self> {
        let message = Message::try_from(stored.clone()).ok()?;
        Some(Self { stored, message })
    }

    fn reaction(&self) -> Option<&Reaction> {
        self.message.meta.reaction.as_ref()
    }

    fn is_of(&self, cause: EventId, handler: &str) -> bool {
        self.reaction().is_some_and(|reaction| reaction.cause == cause && *reaction.handler == *handler)
    }

    /// Whether it says what was done, rather than what failed or was decided.
    pub(super) fn is_state(&self) -> bool {
        let event = &self.message.subject.event_type;
        !event.is_system() || event.event() == HANDLED
    }
}

/// All that there is about one flow.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// The service's own records, in the order of its stream.
    pub(super) own: Vec<Known>,
    /// Those of the other services, each in the order of its stream.
    pub(super) others: Vec<Known>,
    /// Ids of messages that cannot be understood.
    pub(super) unreadable: HashSet<EventId>,
    /// The reactions that have come to an end, in the order in which they did.
    pub(super) settled: Vec<Settled>,
}

/// A reaction that has come to an end.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) reaction: Reaction,
    pub(super) outcome: Outcome,
    /// The first record of the outcome, and its last one so far.
    pub(super) first_seq: u64,
    last_seq: u64,
    /// The input, where the record holds it.
    pub(super) input: Option<Stored>,
    /// The body that the handler got instead of the input's.
    pub(super) edited: Option<Bytes>,
    /// It is a dead letter, and was handed back, with such a body or the input's.
    handed_back: Option<Option<Bytes>>,
    /// What the ids of what it emitted are derived from.
    ids_from: EventId,
    /// It was to be done again; the record that asks for that.
    again: Option<EventId>,
    /// Its input is in another flow, whose reaction this is a part of.
    pub(super) elsewhere: bool,
}

impl Past {
    pub(super) async fn read(reader: &FlowReader, scope: &Scope<'_>, flow: &FlowId) -> Result<Self, Error> {
        // First what was done, then what it was done about: the causes of what is found are there.
        let own = of_flow(reader, scope.home, flow).await?;
        let others: Vec<Vec<Stored>> = stream::iter(&scope.others)
            .map(|home| of_flow(reader, home, flow))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut past = Self::of(scope.service(), own, others.into_iter().flatten().collect());
        let (inputs, stream) = (past.input_ids(), scope.home.stream.as_str());
        let unreadable = &past.unreadable;
        let settled = std::mem::take(&mut past.settled);
        let completed = stream::iter(settled)
            .map(async |mut one| {
                if inputs.contains(&one.reaction.cause) {
                    one.follow(reader, scope.service(), stream).await?;
                } else if !unreadable.contains(&one.reaction.cause) {
                    one.elsewhere = one.is_continued(reader, stream).await?;
                }
                Ok::<_, Error>(one)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        past.settled = completed;
        Ok(past)
    }

    /// What the messages of one flow tell by themselves.
    pub(super) fn of(service: &str, own: Vec<Stored>, others: Vec<Stored>) -> Self {
        let mut past = Self::default();
        past.own = past.understood(own);
        past.others = past.understood(others);
        past.settled = settled(service, &past.own);
        past
    }

    fn understood(&mut self, messages: Vec<Stored>) -> Vec<Known> {
        let mut understood = Vec::with_capacity(messages.len());
        for stored in messages {
            let id = EventId::of_stored(&stored.stream, stored.seq);
            match Known::of(stored) {
                Some(known) => understood.push(known),
                None => {
                    self.unreadable.insert(id);
                }
            }
        }
        understood
    }

    /// All that a handler may have reacted to.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Known> {
        let events = |known: &&Known| !known.message.subject.event_type.is_system();
        self.own.iter().chain(&self.others).filter(events)
    }

    /// All that came of a reaction, directly or not.
    pub(super) fn effects_of(&self, cause: EventId, handler: &str) -> HashSet<EventId> {
        let mut effects = HashSet::new();
        loop {
            let before = effects.len();
            for known in self.own.iter().chain(&self.others) {
                let is_effect = known.is_of(cause, handler)
                    || known.reaction().is_some_and(|reaction| effects.contains(&reaction.cause));
                if is_effect {
                    effects.insert(known.message.meta.id);
                }
            }
            if effects.len() == before {
                return effects;
            }
        }
    }

    fn input_ids(&self) -> HashSet<EventId> {
        self.inputs().map(|known| known.message.meta.id).collect()
    }
}

async fn of_flow(reader: &FlowReader, home: &Home, flow: &FlowId) -> Result<Vec<Stored>, Error> {
    Ok(reader.flow(&home.stream, &Subject::all_of(&home.service, flow)).await?)
}

/// How far the outcome of a reaction is followed into other flows. A batch of the broker has at most a thousand messages.
const MOST_OUTPUTS: usize = 1_000;

impl Settled {
    /// Notes that it was handed back, or to be done again: by the first of several redrives that ask for it.
    fn hand_back(&mut self, redrive: &Known) {
        let is_dead = matches!(self.outcome, Outcome::Dead { .. });
        match Asked::read(&redrive.message.payload) {
            Ok(Asked::HandBack(body)) => {
                if is_dead && body.dead_seq == self.first_seq && self.handed_back.is_none() {
                    self.handed_back = Some(body.payload.map(|payload| payload.to_bytes()));
                }
            }
            Ok(Asked::Again(_)) if !is_dead => {
                self.again.get_or_insert(redrive.message.meta.id);
            }
            Ok(Asked::Again(_)) | Err(_) => {}
        }
    }

    /// Reads on behind the reaction's records: what a handler emits into other flows is in the same batch, after them.
    async fn follow(&mut self, reader: &FlowReader, service: &str, stream: &str) -> Result<(), Error> {
        let Outcome::Emitted(events) = &mut self.outcome else { return Ok(()) };
        let mut ids = Vec::new();
        while ids.len() < MOST_OUTPUTS {
            let (next, _) = reader.page(stream, ">", self.last_seq + 1, 1).await?;
            let Some(next) = next.into_iter().next().and_then(Known::of) else { break };
            if next.message.seq != self.last_seq + 1
                || !next.is_of(self.reaction.cause, &self.reaction.handler)
            {
                break;
            }
            self.last_seq += 1;
            ids.push(next.message.meta.id);
            events.push(Emitted::of(&next.message));
        }
        if !ids.is_empty() {
            self.sort(service, &ids);
        }
        Ok(())
    }

    /// Outputs were numbered as they were emitted, and those in other flows stored last. Their ids tell the numbers.
    fn sort(&mut self, service: &str, last: &[EventId]) {
        let Outcome::Emitted(events) = &mut self.outcome else { return };
        let (from, handler) = (self.ids_from, &*self.reaction.handler);
        let number = |id: EventId| {
            (0..events.len()).find(|number| EventId::derived(from, service, handler, *number) == id)
        };
        let Some(numbers) = last.iter().map(|id| number(*id)).collect::<Option<Vec<_>>>() else { return };
        let mut elsewhere = events.split_off(events.len() - last.len());
        for (number, event) in numbers.into_iter().zip(elsewhere.drain(..)) {
            events.insert(number.min(events.len()), event);
        }
    }

    /// Whether the record before these is of the same reaction, in another flow.
    async fn is_continued(&self, reader: &FlowReader, stream: &str) -> Result<bool, Error> {
        let Some(before) = self.first_seq.checked_sub(1).filter(|seq| *seq > 0) else { return Ok(false) };
        let (found, _) = reader.page(stream, ">", before, 1).await?;
        let found = found.into_iter().next().and_then(Known::of);
        Ok(found.is_some_and(|found| {
            found.message.seq == before && found.is_of(self.reaction.cause, &self.reaction.handler)
        }))
    }
}

/// The last outcome of each reaction.
fn settled(service: &str, own: &[Known]) -> Vec<Settled> {
    let mut settled: Vec<Settled> = Vec::new();
    let mut places: HashMap<(EventId, &str), usize> = HashMap::new();
    for known in own.iter().filter(|known| known.message.subject.event_type.service() == service) {
        let Some(reaction) = known.reaction() else { continue };
        let event = known.message.subject.event_type.event();
        let key = (reaction.cause, &*reaction.handler);
        let before = places.get(&key).copied();
        if event == REDRIVE
            && let Some(before) = before
        {
            settled[before].hand_back(known);
        }
        let is_event = !known.message.subject.event_type.is_system();
        let seq = known.message.seq;
        // An outcome is one batch.
        if let Some(before) = before
            && let Settled { outcome: Outcome::Emitted(events), last_seq, .. } = &mut settled[before]
            && is_event
            && !events.is_empty()
            && seq == *last_seq + 1
        {
            events.push(Emitted::of(&known.message));
            *last_seq = seq;
            continue;
        }
        let (outcome, input) = match event {
            DEAD => of_letter(known),
            HANDLED => (Outcome::Emitted(Vec::new()), kept_input(known)),
            _ if is_event => (Outcome::Emitted(vec![Emitted::of(&known.message)]), None),
            // Whatever else is noted of a reaction is no outcome.
            _ => continue,
        };
        let (reaction, handed_back) =
            (reaction.clone(), before.and_then(|before| settled[before].handed_back.take()));
        let edited = handed_back.flatten();
        let ids_from = before.map(|before| settled[before].again.unwrap_or(settled[before].ids_from));
        let one = Settled {
            ids_from: ids_from.unwrap_or(reaction.cause),
            again: None,
            reaction,
            outcome,
            first_seq: seq,
            last_seq: seq,
            input,
            edited,
            handed_back: None,
            elsewhere: false,
        };
        match before {
            // It was handed back, or done again on purpose: the later outcome counts.
            Some(before) => settled[before] = one,
            None => {
                places.insert(key, settled.len());
                settled.push(one);
            }
        }
    }
    settled
}

fn of_letter(known: &Known) -> (Outcome, Option<Stored>) {
    use laban_wire::DeadReason;
    match serde_json::from_slice::<Dead>(&known.message.payload) {
        Ok(Dead { reason, error, fingerprint, input, .. }) => {
            let headers = input.headers.iter().flat_map(|(name, values)| {
                values.iter().filter_map(move |value| Some((name.parse().ok()?, value.parse().ok()?)))
            });
            let stored = input.payload.as_ref().map(|payload| Stored {
                stream: input.stream.as_str().into(),
                seq: input.seq,
                at: known.stored.at,
                subject: input.subject.clone(),
                headers: headers.collect(),
                malformed: None,
                payload: payload.to_bytes(),
            });
            (Outcome::Dead { reason, trouble: Trouble { error, fingerprint } }, stored)
        }
        // A record of a later release, or a forged one: still a dead letter.
        Err(error) => {
            let error = format!("(the record's body cannot be read: {error})");
            let trouble = Trouble { error, fingerprint: String::new() };
            (Outcome::Dead { reason: DeadReason::Unreadable, trouble }, None)
        }
    }
}

/// A handler that reads flow state keeps what led to nothing.
fn kept_input(known: &Known) -> Option<Stored> {
    let kept = serde_json::from_slice::<Handled>(&known.message.payload).ok()?.input?;
    let version = kept.version.map(|version| format!(" v={version}")).unwrap_or_default();
    let header = format!("id={}{version}", known.reaction()?.cause);
    Some(Stored {
        stream: known.stored.stream.clone(),
        seq: known.stored.seq,
        at: known.stored.at,
        subject: Subject::new(kept.event, known.message.subject.flow.clone()).to_text(),
        headers: [(laban_wire::HEADER.parse().ok()?, header.parse().ok()?)].into_iter().collect(),
        malformed: None,
        payload: kept.payload.to_bytes(),
    })
}
