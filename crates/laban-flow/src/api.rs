//! The broker's own lists, read to the end and with what it could not reach: the client's iterators skip that.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::{Client, RequestErrorKind};
use laban_wire::error_chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::Error;

/// A cluster itself waits up to four seconds for those that do not answer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
pub(crate) struct StreamInfo {
    pub(crate) config: StreamConfig,
    #[serde(default)]
    pub(crate) state: StreamState,
    /// The broker's clock as it answered.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) ts: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) struct StreamState {
    #[serde(default)]
    pub(crate) messages: u64,
    #[serde(default)]
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) first_seq: u64,
    #[serde(default)]
    pub(crate) last_seq: u64,
}

#[derive(Deserialize)]
pub(crate) struct StreamConfig {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
pub(crate) struct ConsumerInfo {
    pub(crate) name: String,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) created: OffsetDateTime,
    pub(crate) config: ConsumerConfig,
    #[serde(default)]
    pub(crate) delivered: SequenceInfo,
    #[serde(default)]
    pub(crate) ack_floor: SequenceInfo,
    #[serde(default)]
    pub(crate) num_pending: u64,
    #[serde(default)]
    pub(crate) num_ack_pending: u64,
    #[serde(default)]
    pub(crate) num_redelivered: u64,
    #[serde(default)]
    pub(crate) num_waiting: u64,
    pub(crate) cluster: Option<ClusterInfo>,
}

/// Where a stream or a consumer is; a server that stands alone says nothing of it.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct ClusterInfo {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) leader: String,
    #[serde(default)]
    pub(crate) replicas: Vec<PeerInfo>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct PeerInfo {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) current: bool,
    #[serde(default)]
    pub(crate) offline: bool,
    #[serde(default)]
    pub(crate) lag: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) struct SequenceInfo {
    #[serde(default)]
    pub(crate) consumer_seq: u64,
    #[serde(default)]
    pub(crate) stream_seq: u64,
}

#[derive(Deserialize)]
pub(crate) struct ConsumerConfig {
    /// 0 for as many as the stream has.
    #[serde(default)]
    pub(crate) num_replicas: usize,
    #[serde(default)]
    pub(crate) metadata: HashMap<String, String>,
    #[serde(default)]
    pub(crate) filter_subject: String,
    #[serde(default)]
    pub(crate) deliver_policy: String,
    #[serde(default)]
    pub(crate) opt_start_seq: u64,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) opt_start_time: Option<OffsetDateTime>,
}

/// A part of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    #[serde(alias = "streams", alias = "consumers")]
    pub(crate) items: Option<Vec<T>>,
    #[serde(default)]
    pub(crate) total: usize,
    missing: Option<Vec<String>>,
    offline: Option<HashMap<String, String>>,
    error: Option<ApiError>,
}

impl<T> Page<T> {
    /// The names of those that are on the list and do not answer, taken out of it.
    pub(crate) fn take_silent(&mut self) -> impl Iterator<Item = String> + use<T> {
        let offline = self.offline.take().into_iter().flatten().map(|(name, _)| name);
        self.missing.take().into_iter().flatten().chain(offline)
    }
}

#[derive(Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

/// All streams of the account.
pub(crate) async fn streams(client: &Client) -> Result<Vec<StreamInfo>, Error> {
    streams_as(client).await
}

/// The same, with as much of each as the caller wants to know.
pub(crate) async fn streams_as<T: DeserializeOwned>(client: &Client) -> Result<Vec<T>, Error> {
    list(client, "$JS.API.STREAM.LIST", "the streams").await
}

/// One stream.
pub(crate) async fn stream<T: DeserializeOwned>(client: &Client, name: &str) -> Result<T, Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Answer<T> {
        Error { error: ApiError },
        Stream(T),
    }
    let what = format!("stream {name}");
    let subject = format!("$JS.API.STREAM.INFO.{name}");
    match request(client, &subject, &what, Vec::new()).await? {
        Answer::Stream(info) => Ok(info),
        Answer::Error { error } => Err(error.of(&what)),
    }
}

/// All consumers of a stream.
pub(crate) async fn consumers(client: &Client, stream: &str) -> Result<Vec<ConsumerInfo>, Error> {
    let subject = format!("$JS.API.CONSUMER.LIST.{stream}");
    list(client, &subject, &format!("the consumers of stream {stream}")).await
}

async fn list<T: DeserializeOwned>(client: &Client, subject: &str, what: &str) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    loop {
        let mut page: Page<T> = ask(client, subject, what, all.len()).await?;
        let mut names: Vec<String> = page.take_silent().collect();
        if !names.is_empty() {
            names.sort();
            return Err(Error::Silent { what: what.to_owned(), names });
        }
        let items = page.items.unwrap_or_default();
        let none = items.is_empty();
        all.extend(items);
        if none || all.len() >= page.total {
            return Ok(all);
        }
    }
}

async fn ask<T: DeserializeOwned>(
    client: &Client,
    subject: &str,
    what: &str,
    offset: usize,
) -> Result<Page<T>, Error> {
    let body = serde_json::json!({ "offset": offset }).to_string();
    let page: Page<T> = request(client, subject, what, body.into_bytes()).await?;
    match page.error {
        Some(error) => Err(error.of(what)),
        None => Ok(page),
    }
}

impl ApiError {
    fn of(self, what: &str) -> Error {
        let reason = format!("{} ({})", self.description, self.err_code);
        Error::Broker { what: what.to_owned(), reason }
    }
}

async fn request<T: DeserializeOwned>(
    client: &Client,
    subject: &str,
    what: &str,
    body: Vec<u8>,
) -> Result<T, Error> {
    let failed = |reason: String| Error::Broker { what: what.to_owned(), reason };
    let request = async_nats::Request::new().payload(body.into()).timeout(Some(TIMEOUT));
    let answer = client.send_request(subject.to_owned(), request).await.map_err(|e| {
        failed(match e.kind() {
            RequestErrorKind::NoResponders => "JetStream is not enabled there".to_owned(),
            RequestErrorKind::TimedOut => {
                format!("no answer within {} s; may this user publish to `{subject}`?", TIMEOUT.as_secs())
            }
            _ => error_chain(&e),
        })
    })?;
    serde_json::from_slice(&answer.payload).map_err(|e| failed(e.to_string()))
}
