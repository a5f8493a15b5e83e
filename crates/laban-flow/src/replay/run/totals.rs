//! What came of a run.

use std::time::Duration;

use laban_wire::Replayed;
use serde::Serialize;
use time::OffsetDateTime;

use super::Touched;
use super::feed::Feed;
use super::hand::{Asked, Handed, Job};

/// So many problems are told one by one.
const MOST_PROBLEMS: usize = 20;
/// Causal order may go back in time where two brokers' clocks differ.
const CLOCKS: Duration = Duration::from_secs(1);

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// By handler, in the order of its name.
    pub handlers: Vec<Counts>,
    /// The first few messages that something is wrong with.
    pub problems: Vec<Problem>,
    /// How it ended.
    pub end: End,
    /// Where to go on, unless all was handed over and answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<ResumeAt>,
    #[serde(skip)]
    last: Option<Job>,
    #[serde(skip)]
    unfinished: Vec<Job>,
}

/// What came of the messages that one handler was handed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The handler.
    pub handler: String,
    /// Took effect before, and was absorbed.
    pub absorbed: u64,
    /// Took effect now: events were emitted.
    pub emitted: u64,
    /// Took effect now, and emitted nothing.
    pub handled: u64,
    /// Was given up now.
    pub dead: u64,
    /// Was given up before, and is left to a redrive.
    pub dead_before: u64,
    /// What the handler's deadline waits for had come.
    pub awaited: u64,
    /// The handler's deadline has not passed.
    pub not_due: u64,
    /// The stream does not hold it any more.
    pub gone: u64,
    /// No event that can be read.
    pub unreadable: u64,
    /// The service refused the request.
    pub refused: u64,
    /// Nobody said what came of it.
    pub unanswered: u64,
    /// Attempts that failed and were made again.
    pub failed_attempts: u64,
}

/// A message that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The handler that it was handed to.
    pub handler: String,
    /// The stream that holds it.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum End {
    /// All was handed over.
    Complete,
    /// It was stopped.
    Stopped,
    /// No instance of the service answers for this handler.
    NobodyServes {
        /// The handler.
        handler: String,
    },
    /// History could not be read on.
    CutShort {
        /// Why.
        reason: String,
    },
}

/// Where a run that ended early can go on. What has taken effect by then is absorbed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeAt {
    /// At this sequence of the one stream.
    FromSeq(u64),
    /// At this time, where there are several streams.
    #[serde(with = "time::serde::rfc3339")]
    Since(OffsetDateTime),
}

impl Totals {
    pub(super) fn of(touched: &[Touched]) -> Self {
        let counts = |one: &Touched| Counts { handler: one.handler.clone(), ..Counts::default() };
        Self {
            handlers: touched.iter().map(counts).collect(),
            problems: Vec::new(),
            end: End::Complete,
            resume_at: None,
            last: None,
            unfinished: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, handed: &Handed) {
        let Handed { job, asked, failed } = handed;
        let counts = &mut self.handlers[job.handler];
        counts.failed_attempts += failed;
        let (count, problem) = match asked {
            Asked::Said(replayed) => counts.of(replayed),
            Asked::Unanswered => {
                let what = "whoever was asked fell silent, each time: see the service's log";
                (Some(&mut counts.unanswered), Some(what.to_owned()))
            }
            Asked::Left | Asked::Nobody => (None, None),
        };
        match count {
            Some(count) => *count += 1,
            None => self.unfinished.push(job.clone()),
        }
        if let Some(what) = problem
            && self.problems.len() < MOST_PROBLEMS
        {
            let (handler, stream) = (self.handlers[job.handler].handler.clone(), job.stream.to_string());
            self.problems.push(Problem { handler, stream, seq: job.seq, what });
        }
        if self.last.as_ref().is_none_or(|last| last.at <= job.at) {
            self.last = Some(job.clone());
        }
    }

    /// Where to go on after an early end.
    pub(super) fn unfinished(&self, feed: &Feed<'_>, streams: usize) -> Option<ResumeAt> {
        if self.end == End::Complete {
            return None;
        }
        let open: Vec<&Job> = self.unfinished.iter().chain(feed.left()).collect();
        if streams == 1 {
            let next = self.last.as_ref().map(|last| last.seq + 1);
            return open.iter().map(|job| job.seq).chain(next).min().map(ResumeAt::FromSeq);
        }
        let times = open.iter().map(|job| job.at).chain(self.last.as_ref().map(|last| last.at));
        times.min().map(|at| ResumeAt::Since(at - CLOCKS))
    }

    /// How many requests have come to an end.
    pub fn done(&self) -> u64 {
        self.handlers.iter().map(Counts::done).sum()
    }

    /// Whether all was handed over, and nothing went wrong.
    pub fn is_good(&self) -> bool {
        let wrong = |counts: &Counts| counts.dead + counts.refused + counts.unanswered > 0;
        self.end == End::Complete && !self.handlers.iter().any(wrong)
    }
}

impl Counts {
    /// Where this outcome is counted, and what is wrong with it.
    fn of(&mut self, replayed: &Replayed) -> (Option<&mut u64>, Option<String>) {
        match replayed {
            Replayed::Absorbed => (Some(&mut self.absorbed), None),
            Replayed::Emitted => (Some(&mut self.emitted), None),
            Replayed::Handled => (Some(&mut self.handled), None),
            Replayed::DeadBefore => (Some(&mut self.dead_before), None),
            Replayed::Awaited => (Some(&mut self.awaited), None),
            Replayed::NotDue => (Some(&mut self.not_due), None),
            Replayed::Gone => (Some(&mut self.gone), None),
            Replayed::Dead { reason, error } => {
                (Some(&mut self.dead), Some(format!("dead, {reason}: {error}")))
            }
            Replayed::Unreadable { error } => {
                (Some(&mut self.unreadable), Some(format!("unreadable: {error}")))
            }
            Replayed::Refused { error } => (Some(&mut self.refused), Some(format!("refused: {error}"))),
            // Asked again until there is an outcome.
            Replayed::Retrying { .. } | Replayed::Later { .. } | Replayed::AtWork => (None, None),
        }
    }

    /// How many messages have come to an end.
    pub fn done(&self) -> u64 {
        self.absorbed + self.took_effect() + self.skipped() + self.dead + self.refused + self.unanswered
    }

    /// What took effect now.
    pub fn took_effect(&self) -> u64 {
        self.emitted + self.handled
    }

    /// What there was nothing to do about.
    pub fn skipped(&self) -> u64 {
        self.dead_before + self.awaited + self.not_due + self.gone + self.unreadable
    }
}
