//! One message handed to a handler, and what can be answered to the broker.

use std::time::{Duration, SystemTime};

use async_nats::Client;
use laban_wire::{EventId, InvalidMessage, Message, Stored};
use time::OffsetDateTime;

/// A message on its way through a handler.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) stored: Stored,
    /// How often the broker has delivered it, this time included.
    pub(crate) delivered: u32,
    /// From the broker's timestamp to its receipt here. Clocks of two machines: informative.
    pub(crate) waited: Duration,
    reply: async_nats::Subject,
    client: Client,
}

impl Delivery {
    /// Reads the acknowledgement subject, which says where the message is stored and how often it was delivered:
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>`, since server 2.11 also
    /// with `<domain>.<account hash>` after `$JS.ACK` and a random token at the end.
    ///
    /// `None` when the message was not delivered by a consumer.
    pub(crate) fn of(message: async_nats::Message, client: &Client) -> Option<Self> {
        let reply = message.reply?;
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let (stream, fields) = match tokens.len() {
            7 => (tokens[0], &tokens[2..]),
            9.. => (tokens[2], &tokens[4..]),
            _ => return None,
        };
        let nanos: i128 = fields[3].parse().ok()?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
        let stored = Stored {
            stream: stream.to_owned(),
            seq: fields[1].parse().ok()?,
            at,
            subject: message.subject.into_string(),
            headers: message.headers.unwrap_or_default(),
            malformed: None,
            payload: message.payload,
        };
        Some(Self {
            stored,
            delivered: fields[0].parse().ok()?,
            waited: SystemTime::now().duration_since(at.into()).unwrap_or_default(),
            reply,
            client: client.clone(),
        })
    }

    /// A message that was delivered and never arrived, because the client library cannot parse it.
    pub(crate) fn of_stored(stored: Stored, consumer: &str, client: &Client) -> Self {
        let nanos = stored.at.unix_timestamp_nanos();
        // The broker goes by the stream sequence; the other numbers are informative.
        let reply = format!("$JS.ACK.{}.{consumer}.1.{}.1.{nanos}.0", stored.stream, stored.seq);
        let waited = SystemTime::now().duration_since(stored.at.into()).unwrap_or_default();
        Self { stored, delivered: 2, waited, reply: reply.into(), client: client.clone() }
    }

    /// The same delivery, with another message in its place.
    pub(crate) fn instead(&self, stored: Stored) -> Self {
        Self { stored, ..self.clone() }
    }

    /// The event or record that it is.
    pub(crate) fn read(&self) -> Result<Message, InvalidMessage> {
        self.stored.clone().try_into()
    }

    /// What an unreadable message goes by.
    pub(crate) fn stored_id(&self) -> EventId {
        EventId::of_stored(&self.stored.stream, self.stored.seq)
    }

    /// Done with it. An acknowledgement that is lost costs a second delivery, which the commit absorbs.
    pub(crate) async fn ack(&self) {
        self.answer("+ACK".to_owned()).await;
    }

    /// Deliver it again, later.
    pub(crate) async fn again_in(&self, delay: Duration) {
        self.answer(format!(r#"-NAK {{"delay": {}}}"#, delay.as_nanos())).await;
    }

    /// Never deliver it again; the reason shows in the broker's advisory.
    pub(crate) async fn give_up(&self, reason: &str) {
        self.answer(format!("+TERM {reason}")).await;
    }

    /// Still at work on it.
    pub(crate) async fn in_progress(&self) {
        self.answer("+WPI".to_owned()).await;
    }

    async fn answer(&self, answer: String) {
        if let Err(error) = self.client.publish(self.reply.clone(), answer.into()).await {
            tracing::debug!(%error, "an answer to the broker could not be sent; it will deliver again");
        }
    }
}
