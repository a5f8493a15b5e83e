//! Where flows of a kind are to be found: not in all records, where the broker knows better.

use std::collections::{BTreeMap, HashMap};

use laban_wire::{DEAD, REDRIVE, metadata};

use super::Query;
use crate::api::{self, StreamInfo, StreamState};
use crate::{Error, Mesh, Since, State};

/// Records of one stream, each of a flow that may be one of those looked for.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) stream: String,
    /// The first tokens of the subject, up to the flow's.
    filter: String,
    pub(super) kind: Kind,
    /// The sequences looked at, both included.
    pub(super) first: u64,
    pub(super) last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<service>.<event>.<flow>`.
    Records,
    /// `_due.<service>.<handler>.<flow>`.
    Due,
    /// `_timers.<service>.<handler>.<flow>.<id>`.
    Waiting,
}

impl Source {
    pub(super) fn subjects(&self) -> String {
        match self.kind {
            Kind::Records => format!("{}.*", self.filter),
            Kind::Due => "_due.*.*.*".to_owned(),
            Kind::Waiting => "_timers.*.*.*.*".to_owned(),
        }
    }

    /// The token of the flow in one of its subjects.
    pub(super) fn token<'s>(&self, subject: &'s str) -> Option<&'s str> {
        match self.kind {
            Kind::Records => subject.splitn(3, '.').nth(2),
            Kind::Due | Kind::Waiting => subject.split('.').nth(3),
        }
    }

    pub(super) fn is_timers(&self) -> bool {
        self.kind != Kind::Records
    }

    /// Whether a record is one of these, by its stream, its sequence, and the name of its event.
    pub(super) fn has(&self, stream: &str, seq: u64, name: &str) -> bool {
        !self.is_timers()
            && self.stream == stream
            && (self.first..=self.last).contains(&seq)
            && match self.filter.split_once('.') {
                Some(("*", "*")) => true,
                Some(("*", event)) => name.split_once('.').is_some_and(|(_, own)| own == event),
                _ => name == self.filter,
            }
    }
}

/// What each state leaves behind, so that nothing else need be looked at.
pub(super) async fn sources(
    client: &async_nats::Client,
    mesh: &Mesh,
    query: &Query,
) -> Result<Vec<Source>, Error> {
    let streams: Vec<StreamInfo> = api::streams(client).await?;
    let states: HashMap<&str, StreamState> =
        streams.iter().map(|info| (info.config.name.as_str(), info.state)).collect();
    let mut plan = Plan { states: &states, sources: BTreeMap::new() };
    if query.exhaustive || !plan.by_state(mesh, query, &streams) {
        plan.sources.clear();
        match &query.event {
            Some(event) => {
                for home in mesh.homes.iter().filter(|home| home.service == event.service()) {
                    plan.add(&home.stream, event.as_str(), Kind::Records, 1);
                }
            }
            None => mesh.homes.iter().for_each(|home| plan.add(&home.stream, "*.*", Kind::Records, 1)),
        }
    }
    Ok(plan.sources.into_values().filter(|source| source.first <= source.last).collect())
}

struct Plan<'a> {
    states: &'a HashMap<&'a str, StreamState>,
    sources: BTreeMap<(String, String), Source>,
}

impl Plan<'_> {
    fn add(&mut self, stream: &str, filter: &str, kind: Kind, first: u64) {
        let Some(state) = self.states.get(stream) else { return };
        let first = first.max(state.first_seq).max(1);
        let source = self.sources.entry((stream.to_owned(), format!("{kind:?}{filter}"))).or_insert(Source {
            stream: stream.to_owned(),
            filter: filter.to_owned(),
            kind,
            first,
            last: state.last_seq,
        });
        source.first = source.first.min(first);
    }

    /// Whether the states that are looked for leave something behind.
    fn by_state(&mut self, mesh: &Mesh, query: &Query, streams: &[StreamInfo]) -> bool {
        for state in &query.states {
            match state {
                State::Dead => self.everywhere(mesh, DEAD),
                State::Running => self.unsettled(mesh, streams, true),
                State::Stuck => self.unsettled(mesh, streams, false),
                State::Completed | State::Compensated => return false,
            }
        }
        !query.states.is_empty()
    }

    fn everywhere(&mut self, mesh: &Mesh, record: &str) {
        for home in &mesh.homes {
            self.add(&home.stream, &format!("*.{record}"), Kind::Records, 1);
        }
    }

    /// What consumers have not acknowledged, timers, and redrives, which have a consumer of their own.
    fn unsettled(&mut self, mesh: &Mesh, streams: &[StreamInfo], with_waiting: bool) {
        for declared in mesh.reactions.iter().filter(|one| !one.at_least_once && one.deadline.is_none()) {
            let homes = mesh.homes.iter().filter(|home| home.service == declared.on.service());
            let standing = mesh.standings.of(&declared.service, &declared.handler, &declared.on);
            let acknowledged = standing.map_or(0, |standing| standing.acknowledged());
            let first = match declared.since {
                Since::Sequence(first) => first.max(acknowledged + 1),
                Since::Ever | Since::Time(_) => acknowledged + 1,
            };
            homes.for_each(|home| self.add(&home.stream, declared.on.as_str(), Kind::Records, first));
        }
        self.everywhere(mesh, REDRIVE);
        for info in streams.iter().filter(|info| info.config.metadata.contains_key(metadata::TIMERS)) {
            self.add(&info.config.name, "", Kind::Due, 1);
            if with_waiting {
                self.add(&info.config.name, "", Kind::Waiting, 1);
            }
        }
    }
}
