//! What the broker answers to those who read: the leader in JSON, a direct get with the message itself.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::header_block;
use crate::Stored;

/// JetStream's `JSNoMessageFoundErr`.
pub(super) const NO_MESSAGE: u64 = 10037;
/// JetStream's `JSStreamNotFoundErr`.
pub(super) const NO_STREAM: u64 = 10059;

/// What the leader says of a stream, with the subjects that were asked for.
#[derive(Deserialize)]
pub(super) struct Info {
    pub(super) state: Option<InfoState>,
}

#[derive(Deserialize)]
pub(super) struct InfoState {
    pub(super) subjects: Option<HashMap<String, u64>>,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) message: Option<Encoded>,
    pub(super) error: Option<ApiError>,
}

#[derive(Deserialize)]
pub(super) struct ApiError {
    pub(super) code: u16,
    #[serde(default)]
    pub(super) err_code: u64,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Deserialize)]
pub(super) struct Encoded {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl Encoded {
    pub(super) fn into_stored(self, stream: &str) -> Result<Stored, String> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|e| e.to_string());
        let (headers, malformed) = header_block::parse(&decode(&self.hdrs)?);
        Ok(Stored {
            stream: stream.into(),
            seq: self.seq,
            at: OffsetDateTime::parse(&self.time, &Rfc3339).map_err(|e| e.to_string())?,
            subject: self.subject,
            headers,
            malformed,
            payload: Bytes::from(decode(&self.data)?),
        })
    }
}

/// Headers that a direct get adds, and the broker's instructions: not the message's own.
const ADDED: [&str; 6] = [
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
];

/// One answer to a direct get, as the message that it is.
pub(super) fn from_direct(stream: &str, answer: async_nats::Message) -> Result<Stored, String> {
    let headers = answer.headers.ok_or("a direct get without headers")?;
    let need = |name: &str| {
        headers.get(name).map(|value| value.as_str()).ok_or_else(|| format!("a direct get without {name}"))
    };
    let seq = need("Nats-Sequence")?.parse().map_err(|_| "a direct get with a broken sequence")?;
    let at = OffsetDateTime::parse(need("Nats-Time-Stamp")?, &Rfc3339).map_err(|e| e.to_string())?;
    let subject = need("Nats-Subject")?.to_owned();
    let own = headers.iter().filter(|(name, _)| !ADDED.contains(&AsRef::<str>::as_ref(*name)));
    let own = own.flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())));
    Ok(Stored {
        stream: stream.into(),
        seq,
        at,
        subject,
        headers: own.collect(),
        malformed: None,
        payload: answer.payload,
    })
}
