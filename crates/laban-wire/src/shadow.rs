//! What `laban replay shadow` and the build that it runs say to each other, over a connection on loopback.
//!
//! Both sides send frames: four bytes of length, most significant first, and so many bytes of JSON. The build says [`Hello`],
//! and then answers each [`Call`] with an [`Answer`], in any order. It ends when the connection does.
//!
//! This is between two programs that run side by side, not on the broker; [`PROTOCOL`] says whether they understand each
//! other.

use std::collections::BTreeMap;
use std::io;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::contract::Contract;
use crate::{DeadReason, EventType, FlowId, InvalidMessage, Message, Millis, Payload, Stored};

/// The version of this conversation.
pub const PROTOCOL: u32 = 1;
/// The environment variable that tells a service where it is awaited: `127.0.0.1:<port>`. With it, it runs in a shadow.
pub const ADDRESS: &str = "LABAN_SHADOW";
/// The environment variable with which it proves that it is the one.
pub const TOKEN: &str = "LABAN_SHADOW_TOKEN";
/// No frame is larger.
pub const MAX_FRAME_BYTES: usize = 64 << 20;
/// No greeting is larger: who says it is not known yet.
pub const MAX_HELLO_BYTES: usize = 4 << 20;

/// The first thing that a build says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// What [`TOKEN`] says.
    pub token: String,
    /// The release of the framework that it is built with.
    pub laban: String,
    /// Whether it can be run, and how.
    pub ready: Ready,
}

/// Whether a build can be run in a shadow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// It can: these are its handlers.
    Contract(Box<Contract>),
    /// It cannot, for this reason.
    Refused(String),
}

/// A handler is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Which call this is, for the answer.
    pub id: u64,
    /// The handler.
    pub handler: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The event reacted to.
    pub input: Kept,
    /// The service's own records of the flow, as they were then; none for a handler that does not read them.
    pub records: Vec<Kept>,
    /// What came of it then; nothing when nobody reacted.
    pub recorded: Option<Outcome>,
}

/// What came of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The call.
    pub id: u64,
    /// How it went.
    pub ran: Ran,
}

/// How a call went.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ran {
    /// The handler came to an outcome.
    To {
        /// What came of it.
        outcome: Outcome,
        /// How long it ran.
        handle_ms: Millis,
    },
    /// The handler was not run, for this reason.
    Not(String),
}

/// What came of a reaction.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// These events, in the order of their emission; none: it was handled, and nothing came of it.
    Emitted(Vec<Emitted>),
    /// An error that may pass: another attempt would follow.
    Retry(Trouble),
    /// A dead letter.
    Dead {
        /// What kind of end it was.
        reason: DeadReason,
        /// What was wrong.
        trouble: Trouble,
    },
}

/// An error, and what makes it alike to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The error.
    pub error: String,
    /// The same for errors that differ only in numbers, ids and quoted values.
    pub fingerprint: String,
}

/// An event that a handler emitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Emitted {
    /// Its type.
    pub event: EventType,
    /// The version of its type, if it says one.
    pub version: Option<u32>,
    /// The flow it belongs to, as in a subject.
    pub flow: String,
    /// Its body.
    pub payload: Payload,
}

impl Emitted {
    /// The event that a stored message is.
    pub fn of(message: &Message) -> Self {
        Self {
            event: message.subject.event_type.clone(),
            version: message.meta.version,
            flow: message.subject.flow.token().to_owned(),
            payload: Payload::of(&message.payload),
        }
    }

    /// Whether it belongs to this flow.
    pub fn is_in(&self, flow: &FlowId) -> bool {
        self.flow == flow.token()
    }
}

/// A message as a stream holds it: [`Stored`], in a form that can be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The stream.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// The broker's timestamp.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Its body.
    pub payload: Payload,
}

impl From<&Stored> for Kept {
    fn from(stored: &Stored) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, values) in stored.headers.iter() {
            let name: &str = name.as_ref();
            let values = values.iter().map(|value| value.as_str().to_owned());
            headers.entry(name.to_owned()).or_default().extend(values);
        }
        Self {
            stream: stored.stream.to_string(),
            seq: stored.seq,
            at: stored.at,
            subject: stored.subject.clone(),
            headers,
            payload: Payload::of(&stored.payload),
        }
    }
}

impl Kept {
    /// The message, understood.
    ///
    /// # Errors
    /// When it is not an event, or a header of it cannot be one.
    pub fn into_message(self) -> Result<Message, InvalidMessage> {
        let mut headers = HeaderMap::new();
        for (name, value) in
            self.headers.iter().flat_map(|(name, values)| values.iter().map(move |v| (name, v)))
        {
            let broken = || InvalidMessage::HeaderBlock { reason: format!("`{name}: {value}` is no header") };
            let key: HeaderName = name.parse().map_err(|_| broken())?;
            let value: HeaderValue = value.parse().map_err(|_| broken())?;
            headers.append(key, value);
        }
        let (stream, payload) = (self.stream.as_str().into(), self.payload.to_bytes());
        Message::read(stream, self.seq, self.at, self.subject.parse()?, &headers, payload)
    }
}

/// Writes one frame.
///
/// # Errors
/// When it is larger than [`MAX_FRAME_BYTES`], which leaves the connection as it was (the error's kind is `InvalidInput`), or
/// the connection is broken.
pub async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), frame: &T) -> io::Result<()> {
    let body = serde_json::to_vec(frame)?;
    let length =
        u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_FRAME_BYTES).ok_or_else(|| {
            let text = format!("it would take {} bytes, and {MAX_FRAME_BYTES} is the most", body.len());
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&body).await?;
    to.flush().await
}

/// Reads one frame of at most so many bytes; nothing when the connection has ended.
///
/// # Errors
/// When it is larger, is not what was expected, or the connection breaks within it.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    most_bytes: usize,
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read(&mut length[..1]).await? {
        0 => return Ok(None),
        _ => from.read_exact(&mut length[1..]).await?,
    };
    let length = u32::from_be_bytes(length) as usize;
    let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    if length > most_bytes {
        return Err(wrong(format!("a frame of {length} bytes, and {most_bytes} is the most")));
    }
    // Grows with what really comes.
    let mut body = Vec::new();
    if from.take(length as u64).read_to_end(&mut body).await? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    serde_json::from_slice(&body)
        .map(Some)
        .map_err(|error| wrong(format!("a frame that cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{EventId, HEADER};

    fn stored(payload: &'static [u8]) -> Stored {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, format!("id={} v=2", EventId::root()));
        headers.append("x", "1");
        headers.append("x", "2");
        Stored {
            stream: "ORDER".into(),
            seq: 7,
            at: OffsetDateTime::UNIX_EPOCH,
            subject: "order.placed.a%2Eb".to_owned(),
            headers,
            malformed: None,
            payload: Bytes::from_static(payload),
        }
    }

    #[tokio::test]
    async fn a_message_comes_over_as_it_was() {
        // Bodies are sent unchanged, line breaks and all.
        for payload in [&b"{\n  \"a\": 1.50\n}"[..], b"", b"no JSON", b"\xff\x00"] {
            let stored = stored(payload);
            let mut wire = Vec::new();
            write(&mut wire, &Kept::from(&stored)).await.unwrap();
            let mut wire = wire.as_slice();
            let kept: Kept = read(&mut wire, MAX_FRAME_BYTES).await.unwrap().unwrap();
            assert_eq!(kept.headers["x"], ["1", "2"]);
            let message = kept.into_message().unwrap();
            let before = Message::try_from(stored).unwrap();
            assert_eq!((message.meta, message.subject, message.at), (before.meta, before.subject, before.at));
            assert_eq!(message.payload, payload);
            assert!(read::<Kept>(&mut wire, MAX_FRAME_BYTES).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn too_much_is_refused_before_it_is_read() {
        let mut wire = Vec::new();
        write(&mut wire, &"0123456789").await.unwrap();
        assert_eq!(read::<String>(&mut wire.as_slice(), 12).await.unwrap().as_deref(), Some("0123456789"));
        let error = read::<String>(&mut wire.as_slice(), 11).await.unwrap_err();
        assert_eq!(error.to_string(), "a frame of 12 bytes, and 11 is the most");
        let error = read::<String>(&mut &wire[..9], 12).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        // Nothing of it was written, so the connection can be used on.
        let (mut nothing, large) = (Vec::new(), "x".repeat(MAX_FRAME_BYTES));
        let error = write(&mut nothing, &large).await.unwrap_err();
        assert_eq!((error.kind(), nothing.len()), (io::ErrorKind::InvalidInput, 0));
    }
}
