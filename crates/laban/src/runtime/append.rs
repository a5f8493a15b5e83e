//! Appending to the home stream, under a fence or not, one message or an atomic batch.

use std::time::Duration;

use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::{Client, HeaderMap, Request};
use bytes::Bytes;
use laban_wire::{Message, Stored, error_chain};
use serde::Deserialize;
use time::OffsetDateTime;

/// How long the broker may take to acknowledge. After that the outcome is unknown.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that is ready to be written.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Draft {
    /// The message as a reader will find it, but for the broker's timestamp.
    pub(crate) fn as_written(&self, stream: &str, seq: u64) -> Option<Message> {
        let stored = Stored {
            stream: stream.to_owned(),
            seq,
            at: OffsetDateTime::now_utc(),
            subject: self.subject.clone(),
            headers: self.headers.clone(),
            malformed: None,
            payload: self.payload.clone(),
        };
        stored.try_into().ok()
    }
}

/// The condition under which an append takes place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fence<'a> {
    /// None: write in any case.
    Open,
    /// Only if the last message on `filter` has sequence `seq`; 0 for none.
    At { filter: &'a str, seq: u64 },
}

/// Why an append did not take place, or may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AppendError {
    /// Something was written on the fence's filter since, or is being written now.
    FenceLost,
    /// No answer: it may have taken place.
    Unknown(String),
    /// The broker cannot take it now.
    Unavailable(String),
    /// The broker will never take it.
    Refused(String),
}

/// JetStream error codes, <https://github.com/nats-io/nats-server/blob/main/server/errors.json>.
mod code {
    pub(super) const WRONG_LAST_SEQUENCE: u64 = 10071;
    pub(super) const WRITE_IN_FLIGHT: u64 = 10164;
    pub(super) const MESSAGE_TOO_LARGE: u64 = 10054;
    pub(super) const HEADERS_TOO_LARGE: u64 = 10097;
    pub(super) const BATCH_TOO_LARGE: u64 = 10199;
}

/// The most messages that one atomic batch takes.
pub(crate) const MAX_BATCH: usize = 1000;

/// Appends `drafts` to one stream, all or none, and returns the sequence of the last. They have consecutive sequences.
pub(crate) async fn append(
    client: &Client,
    mut drafts: Vec<Draft>,
    fence: Fence<'_>,
) -> Result<u64, AppendError> {
    if let Fence::At { filter, seq } = fence
        && let Some(first) = drafts.first_mut()
    {
        first.headers.insert("Nats-Expected-Last-Subject-Sequence", seq.to_string());
        first.headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", filter);
    }
    check_size(client, &drafts)?;
    let count = drafts.len();
    let Some(mut last) = drafts.pop() else {
        return Err(AppendError::Refused("nothing to write".to_owned()));
    };
    if count > 1 {
        let batch = uuid::Uuid::now_v7().simple().to_string();
        for (index, mut draft) in drafts.into_iter().enumerate() {
            mark(&mut draft.headers, &batch, index + 1);
            client.publish_with_headers(draft.subject, draft.headers, draft.payload).await.map_err(|e| {
                match e.kind() {
                    PublishErrorKind::Send => AppendError::Unavailable(error_chain(&e)),
                    _ => AppendError::Refused(error_chain(&e)),
                }
            })?;
        }
        mark(&mut last.headers, &batch, count);
        last.headers.insert("Nats-Batch-Commit", "1");
    }
    publish(client, last).await
}

fn mark(headers: &mut HeaderMap, batch: &str, sequence: usize) {
    headers.insert("Nats-Batch-Id", batch);
    headers.insert("Nats-Batch-Sequence", sequence.to_string());
}

/// Publishes and waits for the stream's acknowledgement.
async fn publish(client: &Client, draft: Draft) -> Result<u64, AppendError> {
    let request = Request::new().headers(draft.headers).payload(draft.payload).timeout(Some(ACK_TIMEOUT));
    let answer = client.send_request(draft.subject, request).await.map_err(|e| match e.kind() {
        RequestErrorKind::TimedOut => {
            AppendError::Unknown(format!("no acknowledgement within {} s", ACK_TIMEOUT.as_secs()))
        }
        RequestErrorKind::NoResponders => AppendError::Unavailable(
            "no stream takes this subject now (stream deleted, or without a leader)".to_owned(),
        ),
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
            AppendError::Refused(error_chain(&e))
        }
        // The connection broke under the request: it may have been taken.
        RequestErrorKind::Other => AppendError::Unknown(error_chain(&e)),
    })?;
    match serde_json::from_slice(&answer.payload) {
        // An error comes with a sequence of 0, so it is looked for first.
        Ok(PubAck { error: Some(error), .. }) => Err(error.into()),
        Ok(PubAck { seq: Some(seq), .. }) => Ok(seq),
        _ => Err(AppendError::Unknown("an acknowledgement that cannot be read".to_owned())),
    }
}

#[derive(Deserialize)]
struct PubAck {
    seq: Option<u64>,
    error: Option<PubError>,
}

#[derive(Deserialize)]
struct PubError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl From<PubError> for AppendError {
    fn from(PubError { err_code, description }: PubError) -> Self {
        let text = format!("{description} ({err_code})");
        match err_code {
            code::WRONG_LAST_SEQUENCE | code::WRITE_IN_FLIGHT => Self::FenceLost,
            code::MESSAGE_TOO_LARGE | code::HEADERS_TOO_LARGE | code::BATCH_TOO_LARGE => Self::Refused(text),
            _ => Self::Unavailable(text),
        }
    }
}

/// Finds out before sending what the broker would close the connection for.
fn check_size(client: &Client, drafts: &[Draft]) -> Result<(), AppendError> {
    if drafts.len() > MAX_BATCH {
        let reason = format!("{} events at once; a batch takes at most {MAX_BATCH}", drafts.len());
        return Err(AppendError::Refused(reason));
    }
    let limit = client.max_payload();
    for draft in drafts {
        let bytes = size(draft);
        if bytes > limit {
            return Err(AppendError::Refused(format!(
                "{} has {bytes} bytes with its headers; the broker takes at most {limit} (its max_payload)",
                draft.subject
            )));
        }
    }
    Ok(())
}

/// Room for the headers that [`append`] adds: batch marks, and a fence on the longest possible flow id.
const ADDED_HEADERS_BYTES: usize = 1280;

/// What a broker counts against its limit: body and headers.
pub(crate) fn size(draft: &Draft) -> usize {
    let headers =
        draft.headers.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let bytes: usize =
        headers.map(|(name, value)| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 4).sum();
    draft.payload.len() + bytes + ADDED_HEADERS_BYTES
}
