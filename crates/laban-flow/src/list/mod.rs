//! Which flows there are, newest first, without ever holding all of them.
//!
//! Records are walked backwards, from all streams that can hold what is looked for, in the order of the broker's
//! timestamps. A flow is listed where its newest record of that walk is; whether a record is that is seen from the flow itself,
//! so what was listed need not be remembered.

mod plan;
mod query;
mod walk;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{FlowId, FlowReader};
use time::OffsetDateTime;

pub use query::{Cursor, KeyPattern, Query};

use crate::read::records_of;
use crate::{Bodies, Error, Flow, Mesh};
use plan::Source;
pub(crate) use walk::last_until;
use walk::{Record, Walk};

/// How many flows are read at once.
const READS: usize = 16;
/// How many flows are remembered as listed, so that they need not be read again for each of their records.
const REMEMBERED: usize = 65_536;

/// A flow that was looked for.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The flow.
    pub flow: Flow,
    /// The bodies of its events, where they were [asked for](Query::bodies).
    pub bodies: Bodies,
    /// Where it stands in the list; what is listed [after](Query::after) it is older.
    pub cursor: Cursor,
}

/// Flows, newest first, read as they are asked for.
#[derive(Debug)]
pub struct Flows<'m> {
    reader: FlowReader,
    mesh: &'m Mesh,
    query: Query,
    sources: Vec<Source>,
    walks: Vec<Walk>,
    seen: Seen,
    ready: VecDeque<Listed>,
    done: bool,
    cut_short: bool,
}

impl<'m> Flows<'m> {
    /// Looks for flows. What is stored from now on is not looked at.
    ///
    /// # Errors
    /// When the broker does not say what streams there are.
    pub async fn find(
        client: &async_nats::Client,
        reader: impl Into<FlowReader>,
        mesh: &'m Mesh,
        query: Query,
    ) -> Result<Flows<'m>, Error> {
        let reader = reader.into();
        let sources = plan::sources(client, mesh, &query).await?;
        let begin = query.begin();
        let walks = stream::iter(sources.iter().enumerate())
            .map(async |(index, source)| {
                Walk::begin(&reader, index, source, begin.as_ref(), query.trace).await
            })
            .buffered(READS)
            .try_collect()
            .await?;
        let (seen, ready) = (Seen::default(), VecDeque::new());
        Ok(Self { reader, mesh, query, sources, walks, seen, ready, done: false, cut_short: false })
    }

    /// The next flow.
    ///
    /// # Errors
    /// When a stream cannot be read.
    pub async fn next(&mut self) -> Result<Option<Listed>, Error> {
        while self.ready.is_empty() && !self.done {
            let candidates = self.candidates().await?;
            let read = stream::iter(candidates)
                .map(async |record: Record| {
                    let records = records_of(&self.reader, self.mesh, &record.flow).await?;
                    let bodies = if self.query.bodies { records.bodies() } else { Bodies::default() };
                    let flow = Flow::from_records(&record.flow, records, &self.mesh.reactions);
                    Ok::<_, Error>((record, flow, bodies))
                })
                .buffered(READS)
                .try_collect::<Vec<_>>()
                .await?;
            for (record, flow, bodies) in read {
                let Some(flow) = flow else { continue };
                let flow = flow.judged(self.mesh, self.query.overdue);
                if self.is_here(&record, &flow) && self.query.wants(&flow) {
                    let Record { at, stream, seq, .. } = record;
                    self.ready.push_back(Listed { flow, bodies, cursor: Cursor { at, stream, seq } });
                }
            }
        }
        Ok(self.ready.pop_front())
    }

    /// How many records have been looked at.
    pub fn records(&self) -> u64 {
        self.walks.iter().map(|walk| walk.looked).sum()
    }

    /// Whether it ended because [that many](Query::most_records) records had been looked at.
    pub fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// The next records of flows that may be listed.
    async fn candidates(&mut self) -> Result<Vec<Record>, Error> {
        let mut candidates: Vec<Record> = Vec::new();
        while candidates.len() < READS {
            let Some(record) = self.record().await? else {
                self.done = true;
                break;
            };
            if self.query.since.is_some_and(|since| record.at < since) {
                self.done = true;
                break;
            }
            if self.query.wants_key(&record.flow) && self.seen.is_new(&record.flow) {
                candidates.push(record);
            }
        }
        Ok(candidates)
    }

    /// The newest record that has not been looked at.
    async fn record(&mut self) -> Result<Option<Record>, Error> {
        while self.walks.iter().any(Walk::is_hungry) {
            if self.records() >= self.query.most_records {
                self.cut_short = true;
                return Ok(None);
            }
            stream::iter(self.walks.iter_mut().filter(|walk| walk.is_hungry()))
                .map(|walk| walk.read(&self.reader))
                .buffer_unordered(READS)
                .try_collect::<Vec<()>>()
                .await?;
        }
        let newest = self.walks.iter_mut().max_by(|a, b| a.newest().cmp(&b.newest()));
        Ok(newest.and_then(Walk::take))
    }

    /// Whether the flow is listed where this record is: it has no newer one in the walk.
    fn is_here(&self, record: &Record, flow: &Flow) -> bool {
        // Which of a flow's records are of a trace is not known here; it is met once all the same, as long as few are met.
        if self.query.trace.is_some() {
            return true;
        }
        let place = |at: OffsetDateTime, stream: &str, seq: u64| (at, stream.to_owned(), seq);
        let steps = flow.steps.iter().map(|step| (step.at, &step.stream, step.seq, step.full_name()));
        let unreadable = flow.unreadable.iter().map(|m| (m.at, &m.stream, m.seq, m.full_name()));
        let newest = (steps.chain(unreadable))
            .filter(|(_, stream, seq, name)| self.sources.iter().any(|one| one.has(stream, *seq, name)))
            .map(|(at, stream, seq, _)| place(at, stream, seq))
            .max();
        match newest {
            // An older one: a replica that lags behind answered, and does not know of this record yet.
            Some(newest) => newest <= place(record.at, &record.stream, record.seq),
            // Found by a timer alone.
            None => self.sources[record.source].is_timers(),
        }
    }
}

/// The flows that were met last, as hashes: a cache, and no more than that.
#[derive(Debug, Default)]
struct Seen {
    hashes: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    fn is_new(&mut self, flow: &FlowId) -> bool {
        let mut hasher = DefaultHasher::new();
        flow.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}
