//! One decision about many dead letters: written one after another, at a rate, until all are done or somebody stops it.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use laban_flow::dead::Letter;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::chosen::{Chosen, FEW};
use super::text::{Text, counted};
use super::write::{Writer, Written};
use crate::{Failure, terminal};

pub(super) struct Decision<'a> {
    pub(super) writer: Writer<'a>,
    /// What has happened to a letter afterwards: `handed back`.
    pub(super) done: &'static str,
    /// From one letter to the next.
    pub(super) pause: Duration,
    pub(super) json: bool,
}

/// What came of it.
pub(super) struct Done {
    /// The letters that it was written about, with the sequences of the records; up to a limit.
    pub(super) letters: Vec<(Letter, u64)>,
    /// How many it was written about.
    pub(super) count: u64,
    /// How many were chosen.
    pub(super) of: u64,
    /// Whether somebody stopped it before it was written about all.
    pub(super) stopped: bool,
    /// Why it was not written about the only one.
    only: Option<String>,
}

/// More letters than these are not kept in mind.
pub(super) const MOST_KEPT: usize = 100_000;

impl Decision<'_> {
    /// Writes it about all that were chosen.
    pub(super) async fn carry_out(
        &self,
        mut chosen: Chosen,
        body: impl Fn(&Letter) -> Result<Bytes, Failure>,
    ) -> Result<Done, Failure> {
        let mut done = Done { letters: Vec::new(), count: 0, of: chosen.count(), stopped: false, only: None };
        let few = done.of <= FEW as u64;
        let progress = terminal::progress(self.done);
        let mut stop = pin!(tokio::signal::ctrl_c());
        let mut ticks = tokio::time::interval(self.pause.max(Duration::from_micros(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(letter) = chosen.next().await? {
            // Between two letters, so that none is left half decided.
            tokio::select! {
                biased;
                _ = &mut stop => {
                    done.stopped = true;
                    break;
                }
                _ = ticks.tick() => {}
            }
            let written = match self.writer.write(&letter, body(&letter)?).await {
                Ok(written) => written,
                Err(error) => {
                    progress.finish_and_clear();
                    terminal::say(&format!("laban: {} {} of {}", self.done, done.count, counted(done.of)));
                    return Err(error);
                }
            };
            let name = Text::for_terminal().name(&letter);
            match written {
                Written::Now(seq) => {
                    done.count += 1;
                    let line = match (self.json, few) {
                        (true, _) => format!("{}\n", said(&letter, self.done, Some(seq), None)),
                        (false, true) => format!("{} {name}\n", self.done),
                        (false, false) => String::new(),
                    };
                    progress.suspend(|| terminal::print(&line))?;
                    if done.letters.len() < MOST_KEPT {
                        done.letters.push((without_bodies(letter), seq));
                    }
                }
                Written::Settled(why) => {
                    let why = Text::for_terminal().plain(&why);
                    let line = format!("not {}: {name}: {why}", self.done);
                    if self.json {
                        let line = format!("{}\n", said(&letter, self.done, None, Some(&why)));
                        progress.suspend(|| terminal::print(&line))?;
                    } else if done.of > 1 {
                        progress.suspend(|| terminal::say(&format!("laban: {line}")));
                    }
                    done.only = (done.of == 1).then_some(line);
                }
            }
            progress.set_message(format!("{} {} of {}", self.done, done.count, counted(done.of)));
        }
        progress.finish_and_clear();
        if !few && !self.json {
            terminal::print(&format!("{} {} of {}\n", self.done, done.count, counted(done.of)))?;
        }
        Ok(done)
    }
}

impl Done {
    /// Whether it was written about all of them.
    pub(super) fn judged(&self, what: &str) -> Result<(), Failure> {
        let (count, of) = (self.count, counted(self.of));
        if self.stopped {
            let message = format!("stopped: {what} {count} of {of}; the same command goes on with the rest");
            return Err(Failure::NotDone(message));
        }
        if let Some(why) = &self.only {
            return Err(Failure::NotDone(why.clone()));
        }
        if self.count < self.of {
            return Err(Failure::NotDone(format!("{what} {count} of {of}: the others are settled")));
        }
        Ok(())
    }
}

/// What is needed to find it again: many are kept in mind.
fn without_bodies(mut letter: Letter) -> Letter {
    letter.history = Vec::new();
    letter.input.payload = None;
    letter.input.headers.clear();
    letter
}

fn said(letter: &Letter, done: &str, seq: Option<u64>, why_not: Option<&str>) -> String {
    json!({
        "letter": letter.place, "service": letter.service, "handler": letter.handler, "flow": letter.flow.key(),
        "done": seq.map(|_| done.replace(' ', "_")), "seq": seq, "why_not": why_not,
    })
    .to_string()
}
