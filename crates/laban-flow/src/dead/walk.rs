//! Reading dead letters from all home streams: by subject, page by page, never all of them at once.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{DEAD, FlowReader, Stored};
use time::Duration;

use super::{Letter, Place, Query, letters_of};
use crate::list::last_until;
use crate::{Error, Home, Mesh, api};

/// Dead letters asked for at a time: each holds a whole input.
const PAGE: usize = 64;
/// How many flows are read at once.
const READS: usize = 16;
/// So many records that cannot be read are named.
const NAMED: usize = 20;

/// One stream's dead letters that are still to be read: sequences, both included.
#[derive(Clone, Debug)]
struct Source {
    service: String,
    stream: String,
    next: u64,
    last: u64,
}

/// Dead letters, by stream and sequence, read as they are asked for.
///
/// A letter comes where its last dead letter is. What is given up from the beginning of the search on does not come.
#[derive(Debug)]
pub struct Letters {
    reader: FlowReader,
    query: Query,
    all: Vec<Source>,
    left: VecDeque<Source>,
    ready: VecDeque<Letter>,
    records: u64,
    unreadable: Vec<Place>,
}

impl Letters {
    /// Looks for dead letters.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn find(
        client: &async_nats::Client,
        reader: FlowReader,
        mesh: &Mesh,
        query: Query,
    ) -> Result<Self, Error> {
        let streams = api::streams(client).await?;
        let mut all = Vec::new();
        for Home { service, stream } in &mesh.homes {
            let Some(info) = streams.iter().find(|info| info.config.name == *stream) else { continue };
            if query.service.as_ref().is_some_and(|wanted| wanted != service) {
                continue;
            }
            let (mut next, last) = (info.state.first_seq.max(1), info.state.last_seq);
            match &query.after {
                Some(after) if *stream < after.stream => continue,
                Some(after) if *stream == after.stream => next = next.max(after.seq + 1),
                _ => {}
            }
            if let Some(since) = query.since.filter(|_| next <= last) {
                let before = last_until(&reader, stream, (next, last), since - Duration::NANOSECOND).await?;
                next = next.max(before + 1);
            }
            all.push(Source { service: service.clone(), stream: stream.clone(), next, last });
        }
        all.sort_by(|a, b| a.stream.cmp(&b.stream));
        let left = all.clone().into();
        Ok(Self { reader, query, all, left, ready: VecDeque::new(), records: 0, unreadable: Vec::new() })
    }

    /// Begins again, with the same dead letters: what was given up since the first time does not come.
    pub fn rewind(&mut self) {
        self.left = self.all.clone().into();
        self.ready.clear();
        self.unreadable.clear();
        self.records = 0;
    }

    /// The next one.
    ///
    /// # Errors
    /// When a stream cannot be read.
    pub async fn next(&mut self) -> Result<Option<Letter>, Error> {
        loop {
            if let Some(letter) = self.ready.pop_front() {
                return Ok(Some(letter));
            }
            let Some(source) = self.left.front().cloned() else { return Ok(None) };
            self.read(source).await?;
        }
    }

    /// How many dead letters have been looked at, whether or not they were looked for.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records called dead letters that cannot be read as one; the first few.
    pub fn unreadable(&self) -> &[Place] {
        &self.unreadable
    }

    /// Reads one page.
    async fn read(&mut self, mut source: Source) -> Result<(), Error> {
        let flow = self.query.flow.as_ref().map_or("*", |flow| flow.token());
        let filter = format!("{}.{DEAD}.{flow}", source.service);
        let (page, more) = if source.next <= source.last {
            self.reader.page(&source.stream, &filter, source.next, PAGE).await?
        } else {
            (Vec::new(), false)
        };
        let end = page.last().map_or(source.last, |last| last.seq);
        let page: Vec<Stored> = page.into_iter().filter(|stored| stored.seq <= source.last).collect();
        self.records += page.len() as u64;
        let mut wanted = Vec::new();
        for stored in page {
            match as_letter(&stored) {
                Some(letter) if self.query.wants(&letter) => wanted.push(letter),
                Some(_) => {}
                None if self.unreadable.len() < NAMED => {
                    self.unreadable.push(Place { stream: source.stream.clone(), seq: stored.seq });
                }
                None => {}
            }
        }
        let reader = &self.reader;
        let read: Vec<Option<Letter>> = stream::iter(wanted)
            .map(async |letter: Letter| {
                // Later, it was given up again: it comes there.
                let now = letter.refreshed(reader).await?.filter(|now| now.place == letter.place);
                Ok::<_, Error>(now)
            })
            .buffered(READS)
            .try_collect()
            .await?;
        self.ready.extend(read.into_iter().flatten().filter(|one| self.query.wants_state(one.state)));
        source.next = end + 1;
        if !more || source.next > source.last {
            self.left.pop_front();
        } else if let Some(front) = self.left.front_mut() {
            *front = source;
        }
        Ok(())
    }
}

/// A dead letter by itself, without what became of it.
fn as_letter(stored: &Stored) -> Option<Letter> {
    letters_of([stored.clone()]).pop()
}

/// The dead letter at this place, or the one of the same reaction that came after it; nothing when there is none.
///
/// # Errors
/// When the broker does not answer.
pub async fn at(reader: &FlowReader, mesh: &Mesh, place: &Place) -> Result<Option<Letter>, Error> {
    let Some(home) = mesh.homes.iter().find(|home| home.stream == place.stream) else { return Ok(None) };
    let filter = format!("{}.{DEAD}.*", home.service);
    let found = reader.leader_next(&place.stream, &filter, place.seq).await?;
    let Some(found) = found.filter(|found| found.seq == place.seq) else { return Ok(None) };
    let Some(letter) = as_letter(&found) else { return Ok(None) };
    letter.refreshed_by_leader(reader).await
}
