//! The commit: an outcome takes effect once.
//!
//! The service's own records about a flow are its memory of that flow. An outcome is appended on the condition that
//! nothing was appended to that memory since it was read, so of all that try to commit the same outcome (a second
//! delivery, a second instance, a frozen one that wakes up) exactly one succeeds, and the others find its record.
//!
//! Never guess: after anything but a clear answer, read what is there, from the stream's leader, and decide again.

use std::sync::Arc;
use std::time::Duration;

use laban_wire::{FlowId, Stored, Subject};

use super::append::{AppendError, Appender, Fence};
use super::drafts::Draft;
use super::faults::point;
use super::known::{Identity, Known};
use super::link::Link;
use super::progress::Progress;
use crate::telemetry::{AppendFailure, Metrics};

/// Commits outcomes to one home stream.
#[derive(Clone)]
pub(crate) struct Committer {
    pub(crate) link: Link,
    pub(crate) appender: Appender,
    pub(crate) stream: Arc<str>,
    pub(crate) service: String,
    pub(crate) metrics: Metrics,
}

/// An outcome to be committed.
pub(crate) struct Commit {
    pub(crate) flow: FlowId,
    pub(crate) identity: Identity,
    /// What to append. The first `in_flow` of them are in `flow`, at least one; the others begin or join other flows.
    pub(crate) drafts: Vec<Draft>,
    pub(crate) in_flow: usize,
    /// How far the reaction has come once this is written.
    pub(crate) becomes: Progress,
    /// Whether the outcome rests on the flow's state: if that has changed, it must be worked out again.
    pub(crate) reads_flow: bool,
    /// The redrive that asked for it, by its sequence; 0 when nobody did. What a later one has opened is not for this to end.
    pub(crate) redrive: u64,
}

impl Commit {
    /// One record, which rests on nothing but the fence.
    pub(crate) fn of_one(flow: &FlowId, identity: &Identity, draft: Draft, becomes: Progress) -> Self {
        Self {
            flow: flow.clone(),
            identity: identity.clone(),
            drafts: vec![draft],
            in_flow: 1,
            becomes,
            reads_flow: false,
            redrive: 0,
        }
    }
}

/// How a commit ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    /// It was appended: the sequence of its first message.
    Now { first_seq: u64 },
    /// It had taken effect before.
    Before,
    /// The flow's state has changed since it was read.
    Stale,
}

/// The broker will never take it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

impl Committer {
    /// Commits, however long the broker is away. What is known of the flow afterwards is in `known`.
    pub(crate) async fn commit(&self, commit: &Commit, known: &mut Known) -> Result<Committed, Refused> {
        let mut pause = Pause::default();
        loop {
            let progress = known.progress(&commit.identity);
            if progress.is_settled() || progress.redrive() > commit.redrive {
                return Ok(Committed::Before);
            }
            // An attempt has one record: this one, its acknowledgement lost, or that of another instance.
            if progress.reaches(commit.becomes) {
                return Ok(Committed::Now { first_seq: known.last_seq });
            }
            let error = match self.appender.append(&commit.drafts, Fence::At(known.last_seq)).await {
                Ok(last_seq) => {
                    let first_seq = last_seq + 1 - commit.drafts.len() as u64;
                    known.wrote(commit, &self.stream, first_seq);
                    point!(Remembered);
                    return Ok(Committed::Now { first_seq });
                }
                Err(error) => error,
            };
            // Rare enough to keep its state off the task of every delivery.
            if let Some(end) = Box::pin(self.recover(commit, known, &mut pause, error)).await {
                return end;
            }
        }
    }

    /// After an append that may not have taken place: finds out what has. `None` when it is to be tried again.
    async fn recover(
        &self,
        commit: &Commit,
        known: &mut Known,
        pause: &mut Pause,
        error: AppendError,
    ) -> Option<Result<Committed, Refused>> {
        point!(AppendFailed);
        let filter = Subject::all_of(&self.service, &commit.flow);
        let stale = |known: &Known| commit.reads_flow && !known.progress(&commit.identity).is_settled();
        let look = async |known: &mut Known| {
            let records = self.read_on(&filter, known).await;
            // Its answer was lost, or late: it took effect all the same, and by nobody else.
            let own = records.iter().find(|record| commit.drafts[0].is(record)).map(|record| record.seq);
            let changed = known.learn(records);
            let end = match own {
                Some(first_seq) => Some(Ok(Committed::Now { first_seq })),
                None => (changed && stale(known)).then_some(Ok(Committed::Stale)),
            };
            (changed, end)
        };
        let failed = |why| self.metrics.append_failed(&commit.identity.handler, why);
        match error {
            AppendError::Refused(reason) => {
                failed(AppendFailure::Refused);
                return Some(Err(Refused(reason)));
            }
            AppendError::FenceLost => {
                self.metrics.fence_lost();
                let (changed, end) = look(known).await;
                if changed {
                    return end;
                }
                if pause.tries < 5 {
                    // A write is in flight: the broker has accepted it, and does not show it yet.
                    pause.short().await;
                } else {
                    // Records that we know of are gone: expired, or the stream was restored. Or a write has been in flight
                    // all the time. Start from what is there, which may be less, and may be more: what the handler made of
                    // the state before does not count any more.
                    known.forget();
                    pause.short().await;
                    let (_, end) = look(known).await;
                    return end.or(stale(known).then_some(Ok(Committed::Stale)));
                }
            }
            AppendError::Unknown(reason) => {
                failed(AppendFailure::Unanswered);
                tracing::warn!(service = %self.service, flow = %commit.flow, %reason, "commit unknown; reading");
                pause.long().await;
                return look(known).await.1;
            }
            AppendError::Unavailable(reason) => {
                failed(AppendFailure::Unavailable);
                tracing::warn!(service = %self.service, flow = %commit.flow, %reason, "commit waits for the broker");
                pause.long().await;
            }
        }
        None
    }

    /// Appends without a fence, however long the broker is away. An append of unknown outcome is repeated.
    pub(crate) async fn append_open(&self, drafts: Vec<Draft>, handler: &str) -> Result<Committed, Refused> {
        if drafts.is_empty() {
            return Ok(Committed::Now { first_seq: 0 });
        }
        let mut pause = Pause::default();
        let failed = |why| self.metrics.append_failed(handler, why);
        loop {
            let reason = match self.appender.append(&drafts, Fence::Open).await {
                Ok(last_seq) => return Ok(Committed::Now { first_seq: last_seq + 1 - drafts.len() as u64 }),
                Err(AppendError::Refused(reason)) => {
                    failed(AppendFailure::Refused);
                    return Err(Refused(reason));
                }
                Err(AppendError::FenceLost) => {
                    pause.short().await;
                    continue;
                }
                Err(AppendError::Unknown(reason)) => {
                    failed(AppendFailure::Unanswered);
                    reason
                }
                Err(AppendError::Unavailable(reason)) => {
                    failed(AppendFailure::Unavailable);
                    reason
                }
            };
            tracing::warn!(service = %self.service, %reason, "writing without a fence; trying again");
            pause.long().await;
        }
    }

    /// Reads on, from the leader, until there is an answer. One request a record, which are few for most flows; a batch of
    /// them may be answered by a replica that lags behind.
    pub(crate) async fn refresh(&self, flow: &FlowId, known: &mut Known) {
        let records = self.read_on(&Subject::all_of(&self.service, flow), known).await;
        known.learn(records);
    }

    /// What the leader has beyond what is known, once there is an answer.
    async fn read_on(&self, filter: &str, known: &Known) -> Vec<Stored> {
        let mut pause = Pause::default();
        loop {
            match self.link.reader().leader(&self.stream, filter, known.last_seq + 1).await {
                Ok(records) => return records,
                Err(error) => {
                    tracing::warn!(service = %self.service, %error, "reading own records; trying again");
                    pause.long().await;
                }
            }
        }
    }
}

/// Pauses between tries, growing.
#[derive(Default)]
pub(crate) struct Pause {
    tries: u32,
}

impl Pause {
    /// A few milliseconds: for what another writer is about to finish.
    pub(crate) async fn short(&mut self) {
        self.wait(Duration::from_millis(2), Duration::from_millis(200)).await;
    }

    /// From 50 ms up: for a broker that is away.
    pub(crate) async fn long(&mut self) {
        self.wait(Duration::from_millis(50), Duration::from_secs(5)).await;
    }

    async fn wait(&mut self, first: Duration, most: Duration) {
        let full = first.saturating_mul(1 << self.tries.min(16)).min(most);
        self.tries += 1;
        tokio::time::sleep(full.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}
