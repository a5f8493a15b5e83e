//! Plays records to standard output.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use indicatif::ProgressBar;
use laban_flow::replay::{Record, Replay, Tally, Totals};
use laban_flow::{TreeStyle, words};
use tokio::time::Instant;

use super::pace::{Pace, Wait};
use super::report;
use crate::signals::Signals;
use crate::{Failure, terminal};

/// How far it has come, on a terminal.
const BAR: &str = "{wide_bar} {pos}/{len}, {msg} ({elapsed}, {eta} left)";
/// Lines are written together while they come without waiting.
const WRITTEN_AT_ONCE: usize = 64 << 10;

/// Memory for lines is taken in pieces of this size.
const PIECE: usize = 64 << 10;

/// What a record is shown as.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Json,
    Lines { style: TreeStyle, with_body: bool },
}

/// A record as it is shown.
pub(super) struct Shown {
    tally: Tally,
    /// A part of what the reader of its stream has written.
    line: Bytes,
}

impl Form {
    /// Makes of each record what is shown of it.
    pub(super) fn show(self) -> impl FnMut(Record) -> Shown + Clone + Send + 'static {
        let (mut line, mut written) = (Vec::new(), BytesMut::new());
        move |record| {
            line.clear();
            match self {
                Form::Json => record.write_json(&mut line),
                Form::Lines { style, with_body } => {
                    line.extend_from_slice(record.to_line(style, with_body).as_bytes());
                }
            }
            line.push(b'\n');
            // Many lines in one piece of memory: they are given out, and forgotten, in this order.
            if written.capacity() < line.len() {
                written = BytesMut::with_capacity(PIECE.max(line.len()));
            }
            written.extend_from_slice(&line);
            Shown { tally: record.tally(), line: written.split().freeze() }
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Everything has been played.
    Whole,
    /// Somebody asked to stop.
    Interrupted,
    /// Nobody reads any more.
    Unread,
}

pub(super) struct Player {
    records: u64,
    form: Form,
    pace: Pace,
    totals: Totals,
    progress: ProgressBar,
    began: Instant,
    /// What has not been written yet.
    out: Vec<u8>,
}

impl Player {
    pub(super) fn new(records: u64, form: Form, pace: Pace) -> Self {
        let (totals, progress) = (Totals::default(), terminal::bar(records, BAR));
        Self { records, form, pace, totals, progress, began: Instant::now(), out: Vec::new() }
    }

    pub(super) async fn play(
        &mut self,
        replay: &mut Replay<Shown>,
        signals: &mut Signals,
    ) -> Result<End, Failure> {
        let end = self.play_on(replay, signals).await;
        self.progress.finish_and_clear();
        // What was played before something went wrong has been played.
        let read = self.write()?;
        if read { end } else { end.map(|_| End::Unread) }
    }

    async fn play_on(&mut self, replay: &mut Replay<Shown>, signals: &mut Signals) -> Result<End, Failure> {
        loop {
            let shown = match replay.try_next()? {
                Some(shown) => shown,
                None => {
                    if !self.write()? {
                        return Ok(End::Unread);
                    }
                    tokio::select! {
                        next = replay.next() => match next? {
                            Some(shown) => shown,
                            None => return Ok(End::Whole),
                        },
                        () = signals.next() => return Ok(End::Interrupted),
                    }
                }
            };
            if let Some(Wait { until, cut }) = self.pace.wait(shown.tally.at(), Instant::now) {
                self.tell(cut);
                if !self.write()? {
                    return Ok(End::Unread);
                }
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = signals.next() => return Ok(End::Interrupted),
                }
            }
            self.totals.add(&shown.tally);
            self.out.extend_from_slice(&shown.line);
            if self.out.len() >= WRITTEN_AT_ONCE {
                if !self.write()? {
                    return Ok(End::Unread);
                }
                tokio::select! {
                    biased;
                    () = signals.next() => return Ok(End::Interrupted),
                    () = std::future::ready(()) => {}
                }
            }
        }
    }

    /// Says how long nothing happened, where that is not waited for.
    fn tell(&mut self, cut: Option<Duration>) {
        let Form::Lines { style, .. } = self.form else { return };
        if let Some(gap) = cut {
            let sign = if style.ascii { "..." } else { "…" };
            let line = format!("{sign} {} later\n", words::duration(gap.as_secs_f64() * 1e3));
            self.out.extend_from_slice(line.as_bytes());
        }
    }

    /// Writes what there is; says whether anybody still reads.
    fn write(&mut self) -> Result<bool, Failure> {
        self.progress.set_position(self.totals.all.records);
        if let Some(at) = self.totals.last {
            self.progress.set_message(words::stamp(at));
        }
        if self.out.is_empty() {
            return Ok(true);
        }
        let read = self.progress.suspend(|| terminal::write_on(&self.out));
        self.out.clear();
        read
    }

    /// Says what was played.
    pub(super) fn finish(self, end: Result<End, Failure>) -> Result<(), Failure> {
        if let Ok(End::Unread) = end {
            return Ok(());
        }
        let whole = matches!(end, Ok(End::Whole));
        for line in report::end(&self.totals, self.records, whole, self.began.elapsed()) {
            terminal::say(&line);
        }
        end.map(drop)
    }
}
