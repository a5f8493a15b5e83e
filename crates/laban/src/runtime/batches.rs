//! Outcomes of several messages, many of them written together.
//!
//! Several messages are written all or none as an atomic batch, and a broker takes about as long for a small batch as for
//! a large one (on a file stream without replicas: milliseconds, one at a time). So while one batch is on its way, outcomes
//! gather for the next. Each keeps its own fence, on its first message. A batch with a lost fence writes nothing; it is
//! sent again in halves, until the one that lost is alone, and only that one has failed.
//!
//! Outcomes of one message do not come here: a plain publish is cheaper for a broker than any batch.

use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::header::{
    HeaderMap, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use laban_wire::error_chain;
use tokio::sync::{mpsc, oneshot};

use super::append::{AppendError, Fence, publish};
use super::drafts::Draft;
use super::faults::point;
use super::link::Link;

/// The most messages that one atomic batch takes.
const MAX_MESSAGES: usize = 1000;

/// More than this does not wait for company. A broker keeps a batch in memory until it is complete.
const MAX_GROUP_BYTES: usize = 4 << 20;

/// The next batch is sent when the one before is answered, or after so long: one that gets no answer does not hold up the
/// others until it is given up.
const PATIENCE: Duration = Duration::from_millis(250);

/// An outcome that waits to be written: messages that are written all or none, under one fence.
pub(super) struct Waiting {
    pub(super) drafts: Vec<Draft>,
    pub(super) fence: Fence,
    pub(super) size_bytes: usize,
    /// Hears the sequence of the last message.
    pub(super) done: oneshot::Sender<Result<u64, AppendError>>,
}

/// Where outcomes wait. They are as many as handlers work on at a time.
#[derive(Clone)]
pub(super) struct Batches(mpsc::UnboundedSender<Waiting>);

impl Batches {
    /// Starts writing, which ends when nobody is left to add anything.
    pub(super) fn start(link: Link) -> Self {
        let (add, waiting) = mpsc::unbounded_channel();
        tokio::spawn(write_groups(Writer { link }, waiting));
        Self(add)
    }

    /// Adds an outcome. If it cannot be written any more, its `done` is dropped.
    pub(super) fn add(&self, outcome: Waiting) {
        let _ = self.0.send(outcome);
    }
}

/// The size of an outcome, if a broker can take it at all. It would close the connection over a message that is too large.
pub(super) fn check_size(drafts: &[Draft], limit_bytes: usize) -> Result<usize, String> {
    if drafts.len() > MAX_MESSAGES {
        return Err(format!("{} events at once; a batch takes at most {MAX_MESSAGES}", drafts.len()));
    }
    let mut sum = 0;
    for draft in drafts {
        let bytes = draft.size_bytes();
        if bytes > limit_bytes {
            return Err(format!(
                "{} has {bytes} bytes with its headers; the broker takes at most {limit_bytes} (its max_payload)",
                draft.subject
            ));
        }
        sum += bytes;
    }
    Ok(sum)
}

async fn write_groups(writer: Writer, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let (mut messages, mut bytes) = (first.drafts.len(), first.size_bytes);
        let mut group = vec![first];
        while let Ok(one) = waiting.try_recv() {
            messages += one.drafts.len();
            bytes += one.size_bytes;
            if messages > MAX_MESSAGES || bytes > MAX_GROUP_BYTES {
                next = Some(one);
                break;
            }
            group.push(one);
        }
        let writing = writer.clone();
        let written = tokio::spawn(async move { writing.write(group).await });
        let _ = tokio::time::timeout(PATIENCE, written).await;
    }
}

#[derive(Clone)]
struct Writer {
    link: Link,
}

impl Writer {
    /// Writes a group, or what of it can be written.
    async fn write(&self, mut group: Vec<Waiting>) {
        let answer = self.send(&group).await;
        match answer {
            Ok(last_seq) => {
                let messages: usize = group.iter().map(|one| one.drafts.len()).sum();
                let mut seq = last_seq - messages as u64;
                for one in group {
                    seq += one.drafts.len() as u64;
                    // Whoever asked may have gone.
                    let _ = one.done.send(Ok(seq));
                }
            }
            // Nothing was written, and it is the fault of one of them.
            Err(AppendError::FenceLost | AppendError::Refused(_)) if group.len() > 1 => {
                let second = group.split_off(group.len() / 2);
                Box::pin(self.write(group)).await;
                Box::pin(self.write(second)).await;
            }
            Err(error) => {
                for one in group {
                    let _ = one.done.send(Err(error.clone()));
                }
            }
        }
    }

    /// Sends a group as one atomic batch, and returns the sequence of its last message.
    async fn send(&self, group: &[Waiting]) -> Result<u64, AppendError> {
        let client = self.link.client();
        let batch = uuid::Uuid::now_v7().simple().to_string();
        let mut messages = Vec::new();
        for one in group {
            for (index, draft) in one.drafts.iter().enumerate() {
                let fence = if index == 0 { one.fence } else { Fence::Open };
                let mut headers = draft.headers_under(fence, self.link.marker());
                mark(&mut headers, &batch, messages.len() + 1);
                messages.push((draft.subject.to_text(), headers, draft.payload.clone()));
            }
        }
        let Some((subject, mut headers, payload)) = messages.pop() else {
            return Err(AppendError::Refused("nothing to write".to_owned()));
        };
        point!(BatchBegin);
        for (subject, headers, payload) in messages {
            client.publish_with_headers(subject, headers, payload).await.map_err(|e| match e.kind() {
                PublishErrorKind::Send => AppendError::Unavailable(error_chain(&e)),
                _ => AppendError::Refused(error_chain(&e)),
            })?;
            point!(BatchBetween, client);
        }
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        publish(&client, subject, headers, payload).await
    }
}

fn mark(headers: &mut HeaderMap, batch: &str, sequence: usize) {
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, sequence.to_string());
}
