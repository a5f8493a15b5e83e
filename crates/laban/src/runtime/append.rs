//! Appending to the home stream, under a fence or not: one message, or several that are written all or none.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::header::{HeaderMap, HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::{Client, Request};
use bytes::Bytes;
use laban_wire::{Subject, error_chain};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::batches::{Batches, Waiting, check_size};
use super::drafts::Draft;
use super::faults::point;
use super::hops::Marker;
use super::link::Link;

/// How long the broker may take to acknowledge. After that the outcome is unknown.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The fence's filter; the sequence goes into a header that the client library knows.
const FENCE_FILTER: HeaderName = HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

/// Appends to one service's home stream.
#[derive(Clone)]
pub(crate) struct Appender {
    link: Link,
    batches: Batches,
}

/// The condition under which an append takes place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fence {
    /// None: write in any case.
    Open,
    /// Only if the service's last record about the first message's flow has this sequence; 0 for none.
    At(u64),
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

impl Appender {
    /// Starts what batches need on the present runtime.
    pub(crate) fn start(link: Link) -> Self {
        let batches = Batches::start(link.clone());
        Self { link, batches }
    }

    /// Appends `drafts`, all or none, and returns the sequence of the last. They have consecutive sequences.
    pub(crate) async fn append(&self, drafts: &[Draft], fence: Fence) -> Result<u64, AppendError> {
        if let [draft] = drafts {
            let headers = draft.headers_under(fence, self.link.marker());
            let (client, subject) = (self.link.client(), draft.subject.to_text());
            // The client library refuses what is too large as well; this says how large it is.
            if draft.payload.len() > client.max_payload() / 2 {
                check_size(drafts, client.max_payload()).map_err(AppendError::Refused)?;
            }
            return publish(&client, subject, headers, draft.payload.clone()).await;
        }
        // Rare enough to keep its state off the task of every delivery.
        Box::pin(self.append_all(drafts, fence)).await
    }

    async fn append_all(&self, drafts: &[Draft], fence: Fence) -> Result<u64, AppendError> {
        let limit = self.link.client().max_payload();
        let size_bytes = check_size(drafts, limit).map_err(AppendError::Refused)?;
        let (done, answer) = oneshot::channel();
        self.batches.add(Waiting { drafts: drafts.to_vec(), fence, size_bytes, done });
        let gone = |_| Err(AppendError::Unknown("the service is stopping".to_owned()));
        answer.await.unwrap_or_else(gone)
    }
}

impl Draft {
    /// The headers, with the condition under which this message and those after it are written, and marked if the broker
    /// is to report on it.
    pub(super) fn headers_under(&self, fence: Fence, marker: Option<&Marker>) -> HeaderMap {
        #[cfg(feature = "faults")]
        let fence = super::faults::fence(fence);
        let mut headers = self.headers();
        if let Some(marker) = marker
            && self.is_sampled()
        {
            marker.mark(&mut headers);
        }
        if let Fence::At(seq) = fence {
            let Subject { event_type, flow } = &self.subject;
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, seq.to_string());
            headers.insert(FENCE_FILTER, Subject::all_of(event_type.service(), flow));
        }
        headers
    }
}

/// Publishes and waits for the stream's acknowledgement.
pub(super) async fn publish(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<u64, AppendError> {
    let request = Request::new().headers(headers).payload(payload).timeout(Some(ACK_TIMEOUT));
    #[cfg(not(feature = "faults"))]
    let answer = client.send_request(subject, request).await;
    #[cfg(feature = "faults")]
    let answer = super::faults::request(client, subject, request).await;
    let answer = answer.map_err(|e| match e.kind() {
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
        Ok(PubAck { seq: Some(seq), .. }) => {
            point!(AfterAppend);
            Ok(seq)
        }
        _ => Err(AppendError::Unknown("an acknowledgement that cannot be read".to_owned())),
    }
}

/// JetStream error codes, <https://github.com/nats-io/nats-server/blob/main/server/errors.json>.
mod code {
    pub(super) const WRONG_LAST_SEQUENCE: u64 = 10071;
    pub(super) const WRITE_IN_FLIGHT: u64 = 10164;
    pub(super) const MESSAGE_TOO_LARGE: u64 = 10054;
    pub(super) const HEADERS_TOO_LARGE: u64 = 10097;
    pub(super) const BATCH_TOO_LARGE: u64 = 10199;
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
