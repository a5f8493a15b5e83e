//! One source, backwards: the broker reads forwards only, so it is asked for windows of sequences.

use laban_wire::{FlowId, FlowReader, Message, Stored};
use time::OffsetDateTime;

use super::Cursor;
use super::plan::Source;
use crate::Error;

/// Records asked for at a time.
const MOST: usize = 1_000;
/// A window with more records is narrowed and read again.
const TOO_MANY: usize = 8 * MOST;
/// The first window is small: most lists are short.
const FIRST_WINDOW: u64 = 128;
/// Windows in which little is found grow up to this.
const WIDEST_WINDOW: u64 = 1 << 22;

/// A record, as far as a list needs it.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) source: usize,
    pub(super) at: OffsetDateTime,
    pub(super) stream: String,
    pub(super) seq: u64,
    pub(super) flow: FlowId,
}

/// How far one source has been walked.
#[derive(Debug)]
pub(super) struct Walk {
    index: usize,
    source: Source,
    subjects: String,
    /// Where it began.
    begin: Option<Cursor>,
    /// Everything above this sequence has been read.
    left: u64,
    window: u64,
    /// How many records a window had at most, lately.
    expected: usize,
    /// Oldest first.
    held: Vec<Record>,
    /// How many records have been read.
    pub(super) looked: u64,
    /// Only records of this trace.
    trace: Option<u128>,
}

impl Walk {
    pub(super) async fn begin(
        reader: &FlowReader,
        index: usize,
        source: &Source,
        begin: Option<&Cursor>,
        trace: Option<u128>,
    ) -> Result<Self, Error> {
        let left = match begin {
            Some(cursor) => {
                last_until(reader, &source.stream, (source.first, source.last), cursor.at).await?
            }
            None => source.last,
        };
        Ok(Self {
            index,
            source: source.clone(),
            subjects: source.subjects(),
            begin: begin.cloned(),
            left,
            window: FIRST_WINDOW,
            expected: 16,
            held: Vec::new(),
            looked: 0,
            trace,
        })
    }

    /// Whether there is more to read, and nothing is held.
    pub(super) fn is_hungry(&self) -> bool {
        self.held.is_empty() && self.left >= self.source.first
    }

    pub(super) fn newest(&self) -> Option<(OffsetDateTime, &str, u64)> {
        self.held.last().map(|record| (record.at, record.stream.as_str(), record.seq))
    }

    pub(super) fn take(&mut self) -> Option<Record> {
        self.held.pop()
    }

    /// Reads one window.
    pub(super) async fn read(&mut self, reader: &FlowReader) -> Result<(), Error> {
        let first = self.source.first.max((self.left + 1).saturating_sub(self.window));
        let found = self.read_window(reader, first).await?;
        self.looked += found as u64;
        if found > TOO_MANY && self.window > FIRST_WINDOW {
            self.held.clear();
            self.window = (self.window / 16).max(FIRST_WINDOW);
            return Ok(());
        }
        self.left = first - 1;
        self.expected = found;
        if found < MOST / 8 {
            self.window = (self.window * 2).min(WIDEST_WINDOW);
        } else if found > MOST / 2 {
            self.window = (self.window / 2).max(FIRST_WINDOW);
        }
        Ok(())
    }

    /// What is between this sequence and the last one that is left; not to its end when it is too much. Says how much it is.
    async fn read_window(&mut self, reader: &FlowReader, first: u64) -> Result<usize, Error> {
        let (mut from, mut found) = (first, 0);
        while from <= self.left && found <= TOO_MANY {
            // What is found beyond the window was read before.
            let room = usize::try_from(self.left + 1 - from).unwrap_or(MOST);
            let most = (2 * self.expected).clamp(16, MOST).min(room);
            let (page, more) = reader.page(&self.source.stream, &self.subjects, from, most).await?;
            let is_last = !more || page.last().is_none_or(|last| last.seq >= self.left);
            from = page.last().map_or(from, |last| last.seq + 1);
            for stored in page.into_iter().filter(|stored| stored.seq <= self.left) {
                found += 1;
                self.held.extend(self.record(stored));
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    fn record(&self, stored: Stored) -> Option<Record> {
        let token = self.source.token(&stored.subject)?;
        // A key that was not escaped: `Flow::read` finds it by its key.
        let flow = FlowId::from_token(token).or_else(|_| FlowId::new(token)).ok()?;
        let record = Record {
            source: self.index,
            at: stored.at,
            stream: self.source.stream.clone(),
            seq: stored.seq,
            flow,
        };
        let is_before = |cursor: &Cursor| {
            (record.at, &record.stream, record.seq) < (cursor.at, &cursor.stream, cursor.seq)
        };
        if !self.begin.as_ref().is_none_or(is_before) {
            return None;
        }
        if let Some(wanted) = self.trace {
            Message::try_from(stored).ok()?.trace.filter(|trace| trace.trace_id == wanted)?;
        }
        Some(record)
    }
}

/// The last sequence of these (both included) that may have been stored at this time or before: found by halving.
pub(crate) async fn last_until(
    reader: &FlowReader,
    stream: &str,
    (first, last): (u64, u64),
    at: OffsetDateTime,
) -> Result<u64, Error> {
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let (page, _) = reader.page(stream, ">", middle, 1).await?;
        match page.first() {
            Some(stored) if stored.at <= at => low = stored.seq + 1,
            _ => high = middle,
        }
    }
    Ok(low - 1)
}
