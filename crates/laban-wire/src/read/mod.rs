//! Reading the records of one flow from one stream, by the stream's subject index.

mod answers;
mod error;
mod header_block;

use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Serialize;

pub use self::error::ReadError;

use self::answers::{Answer, Info, NO_MESSAGE, NO_STREAM, from_direct};
use crate::Stored;

/// Reads messages by subject filter. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlowReader {
    client: Client,
    /// Batched direct gets go over this one.
    direct: Client,
}

impl From<&Client> for FlowReader {
    fn from(client: &Client) -> Self {
        Self::new(client.clone())
    }
}

/// How long one request may take before the read fails.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question may take whose answer only makes a read faster.
const SHORT: Duration = Duration::from_secs(1);
/// Messages asked for in one request of a batched read.
const BATCH: usize = 1000;

#[derive(Serialize)]
struct Get<'a> {
    seq: u64,
    next_by_subj: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
}

impl FlowReader {
    /// A reader on this connection.
    pub fn new(client: Client) -> Self {
        Self { direct: client.clone(), client }
    }

    /// Batched reads over a connection of their own.
    ///
    /// A malformed header block among the answers takes a connection down, and some kinds of it end the client library's
    /// whole client. With another one at hand the read goes on, by way of the stream's leader.
    #[must_use]
    pub fn with_direct(self, direct: Client) -> Self {
        Self { direct, ..self }
    }

    /// All messages of `stream` on `filter` from `from_seq` on, oldest first, by batched direct get.
    ///
    /// Any replica may answer, so on a replicated stream the newest messages may be missing. What is found is true and
    /// without gaps.
    ///
    /// # Errors
    /// When the broker does not answer, or the answer is cut short.
    pub async fn any_replica(
        &self,
        stream: &str,
        filter: &str,
        from_seq: u64,
    ) -> Result<Vec<Stored>, ReadError> {
        let mut found: Vec<Stored> = Vec::new();
        let mut seq = from_seq.max(1);
        loop {
            match self.direct_batch(stream, filter, seq, BATCH, &mut found).await {
                Ok(more) => {
                    seq = found.last().map_or(seq, |last| last.seq + 1);
                    if !more {
                        return Ok(found);
                    }
                }
                // A malformed header block among the answers takes the connection down. The leader answers in JSON.
                Err(error) => {
                    seq = found.last().map_or(seq, |last| last.seq + 1);
                    found.extend(self.leader(stream, filter, seq).await.map_err(|_| error)?);
                    return Ok(found);
                }
            }
        }
    }

    /// All messages of `stream` on `filter`, oldest first, as [`any_replica`](Self::any_replica) finds them; faster where each
    /// of few subjects holds one message, as in most flows.
    ///
    /// The last message of each subject is found by the broker's index alone. Then the leader is asked how many there are on
    /// each: if one, that was all. Whatever else it is, the stream is read as usual.
    ///
    /// # Errors
    /// When the broker does not answer, or the answer is cut short.
    pub async fn flow(&self, stream: &str, filter: &str) -> Result<Vec<Stored>, ReadError> {
        let mut last = Vec::new();
        let body = serde_json::json!({ "multi_last": [filter] }).to_string();
        let whole = self.direct(stream, filter, body.into(), &mut last).await.is_ok_and(|more| !more);
        if whole && self.holds_just(stream, filter, &last).await {
            return Ok(last);
        }
        self.any_replica(stream, filter, 1).await
    }

    /// Whether the leader says that these are all the messages there are on the filter.
    async fn holds_just(&self, stream: &str, filter: &str, found: &[Stored]) -> bool {
        let body = serde_json::json!({ "subjects_filter": filter }).to_string();
        let request = async_nats::Request::new().payload(body.into()).timeout(Some(SHORT));
        let answer = self.client.send_request(format!("$JS.API.STREAM.INFO.{stream}"), request).await;
        let info = answer.ok().and_then(|answer| serde_json::from_slice::<Info>(&answer.payload).ok());
        let subjects = info.and_then(|info| info.state).map(|state| state.subjects.unwrap_or_default());
        subjects.is_some_and(|subjects| {
            subjects.len() == found.len() && found.iter().all(|one| subjects.get(&one.subject) == Some(&1))
        })
    }

    /// At most `most` messages of `stream` on `filter` from `from_seq` on, oldest first, by one batched direct get, with what
    /// [`any_replica`](Self::any_replica) says about those. Says whether more is pending.
    ///
    /// # Errors
    /// When the broker does not answer, or the answer is cut short.
    pub async fn page(
        &self,
        stream: &str,
        filter: &str,
        from_seq: u64,
        most: usize,
    ) -> Result<(Vec<Stored>, bool), ReadError> {
        let mut found = Vec::new();
        let mut seq = from_seq.max(1);
        let error = match self.direct_batch(stream, filter, seq, most, &mut found).await {
            Ok(more) => return Ok((found, more)),
            Err(error) => error,
        };
        // A malformed header block among the answers, as above.
        while found.len() < most {
            seq = found.last().map_or(seq, |last: &Stored| last.seq + 1);
            match self.leader_next(stream, filter, seq).await.map_err(|_| error.clone())? {
                Some(message) => found.push(message),
                None => return Ok((found, false)),
            }
        }
        Ok((found, true))
    }

    /// One batch. Says whether more is pending.
    async fn direct_batch(
        &self,
        stream: &str,
        filter: &str,
        seq: u64,
        most: usize,
        found: &mut Vec<Stored>,
    ) -> Result<bool, ReadError> {
        let body = serde_json::to_vec(&Get { seq, next_by_subj: filter, batch: Some(most) })
            .map_err(|e| ReadError::new(stream, filter, e.to_string()))?;
        self.direct(stream, filter, body.into(), found).await
    }

    /// One direct get of many messages. Says whether more is pending.
    async fn direct(
        &self,
        stream: &str,
        filter: &str,
        body: Bytes,
        found: &mut Vec<Stored>,
    ) -> Result<bool, ReadError> {
        let failed = |reason: String| ReadError::new(stream, filter, reason);
        let inbox = self.direct.new_inbox();
        let mut answers = self.direct.subscribe(inbox.clone()).await.map_err(|e| failed(e.to_string()))?;
        self.direct
            .publish_with_reply(format!("$JS.API.DIRECT.GET.{stream}"), inbox, body)
            .await
            .map_err(|e| failed(e.to_string()))?;
        loop {
            let answer = tokio::time::timeout(TIMEOUT, answers.next())
                .await
                .map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))?
                .ok_or_else(|| failed("the connection closed".to_owned()))?;
            match answer.status.map(|status| status.as_u16()) {
                None | Some(200) => found.push(from_direct(stream, answer).map_err(failed)?),
                Some(404) => return Ok(false),
                Some(204) => {
                    let pending = answer.headers.as_ref().and_then(|h| h.get("Nats-Num-Pending"));
                    return Ok(pending.is_some_and(|n| n.as_str() != "0"));
                }
                Some(503) => {
                    return Err(failed("the stream does not exist, or nobody answers for it".to_owned()));
                }
                Some(code) => {
                    return Err(failed(format!("{code} {}", answer.description.unwrap_or_default())));
                }
            }
        }
    }

    /// All messages of `stream` on `filter` from `from_seq` on, oldest first, each asked of the stream's leader: the
    /// newest are included.
    ///
    /// One request a message: for reading on from what is known, not for whole flows.
    ///
    /// # Errors
    /// When the leader does not answer.
    pub async fn leader(&self, stream: &str, filter: &str, from_seq: u64) -> Result<Vec<Stored>, ReadError> {
        let mut found = Vec::new();
        let mut seq = from_seq.max(1);
        while let Some(message) = self.leader_next(stream, filter, seq).await? {
            seq = message.seq + 1;
            found.push(message);
        }
        Ok(found)
    }

    /// The message at `seq` of `stream`, asked of the stream's leader. Nothing when it holds none there any more, or yet.
    ///
    /// # Errors
    /// When the leader does not answer.
    pub async fn leader_at(&self, stream: &str, seq: u64) -> Result<Option<Stored>, ReadError> {
        if seq == 0 {
            return Ok(None);
        }
        let body = serde_json::json!({ "seq": seq }).to_string();
        self.leader_get(stream, &format!("sequence {seq}"), body.into()).await
    }

    /// The next message of `stream` on `filter` from `from_seq` on, asked of the stream's leader.
    ///
    /// # Errors
    /// When the leader does not answer.
    pub async fn leader_next(
        &self,
        stream: &str,
        filter: &str,
        from_seq: u64,
    ) -> Result<Option<Stored>, ReadError> {
        let body = serde_json::to_vec(&Get { seq: from_seq.max(1), next_by_subj: filter, batch: None })
            .map_err(|e| ReadError::new(stream, filter, e.to_string()))?;
        self.leader_get(stream, filter, body.into()).await
    }

    /// One message, asked of the stream's leader. `what` is for errors.
    async fn leader_get(&self, stream: &str, what: &str, body: Bytes) -> Result<Option<Stored>, ReadError> {
        let failed = |reason: String| ReadError::new(stream, what, reason);
        let request = async_nats::Request::new().payload(body).timeout(Some(TIMEOUT));
        let answer = self
            .client
            .send_request(format!("$JS.API.STREAM.MSG.GET.{stream}"), request)
            .await
            .map_err(|e| failed(e.to_string()))?;
        let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|e| failed(e.to_string()))?;
        match answer {
            Answer { message: Some(message), .. } => message.into_stored(stream).map(Some).map_err(failed),
            Answer { error: Some(error), .. } if error.code == 404 && error.err_code == NO_MESSAGE => {
                Ok(None)
            }
            Answer { error: Some(error), .. } => {
                let mut failure = failed(format!("{} ({})", error.description, error.err_code));
                failure.no_stream = error.err_code == NO_STREAM;
                Err(failure)
            }
            Answer { .. } => Err(failed("an answer with neither message nor error".to_owned())),
        }
    }
}
