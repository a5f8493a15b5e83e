//! One message handed to a handler, and what can be answered to whoever handed it over: the broker, or a replay.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::Client;
use bytes::Bytes;
use laban_wire::{
    AckSubject, EventId, EventType, FlowId, InvalidMessage, Message, Replayed, Stored, Subject,
};
use time::OffsetDateTime;

use super::faults::point;

/// A message on its way through a handler.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) stored: Stored,
    flow: Option<FlowId>,
    /// How often the broker has delivered it, this time included.
    pub(crate) delivered: u32,
    /// From the broker's timestamp to its receipt here. Clocks of two machines: informative.
    pub(crate) waited: Duration,
    pub(crate) answers: Answers,
}

/// What can be said about one delivery to whoever made it.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    reply: async_nats::Subject,
    client: Arc<Client>,
    to: To,
}

/// Who made a delivery: both are answered by a publish, in words of their own.
#[derive(Clone, Copy, Debug)]
enum To {
    /// A consumer of the broker.
    Broker,
    /// Whoever replays, over core NATS.
    Replay,
}

/// How a delivery came to be settled. To the broker it is all the same.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Settled {
    /// It took effect now, and events were emitted.
    Emitted,
    /// It took effect now.
    Handled,
    /// It had taken effect before.
    Before,
    /// It was given up before.
    DeadBefore,
    /// What its handler's deadline waits for has come.
    Awaited,
    /// Its timer, which is set, will see to it.
    NotDue,
}

impl Delivery {
    /// A message as a consumer delivered it. `None` when none did.
    pub(crate) fn of(message: async_nats::Message, stream: &Arc<str>, client: &Arc<Client>) -> Option<Self> {
        let reply = message.reply?;
        let AckSubject { delivered, seq, nanos, .. } = AckSubject::read(&reply)?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).ok()?;
        let stored = Stored {
            stream: Arc::clone(stream),
            seq,
            at,
            subject: message.subject.into_string(),
            headers: message.headers.unwrap_or_default(),
            malformed: None,
            payload: message.payload,
        };
        Some(Self {
            flow: flow_of(&stored),
            stored,
            delivered: u32::try_from(delivered).unwrap_or(u32::MAX),
            waited: SystemTime::now().duration_since(at.into()).unwrap_or_default(),
            answers: Answers { reply, client: Arc::clone(client), to: To::Broker },
        })
    }

    /// A message that was delivered and never arrived, because the client library cannot parse it.
    pub(crate) fn of_stored(stored: Stored, consumer: &str, client: &Arc<Client>) -> Self {
        let nanos = stored.at.unix_timestamp_nanos();
        // The broker goes by the stream sequence; the other numbers are informative.
        let reply = format!("$JS.ACK.{}.{consumer}.1.{}.1.{nanos}.0", stored.stream, stored.seq);
        let waited = SystemTime::now().duration_since(stored.at.into()).unwrap_or_default();
        let answers = Answers { reply: reply.into(), client: Arc::clone(client), to: To::Broker };
        Self { flow: flow_of(&stored), stored, delivered: 2, waited, answers }
    }

    /// A message of a stream that a replay hands over for the `attempt`th time. Its time in the stream was not spent waiting.
    pub(crate) fn replayed(stored: Stored, attempt: u32, answers: Answers) -> Self {
        Self { flow: flow_of(&stored), stored, delivered: attempt.max(1), waited: Duration::ZERO, answers }
    }

    /// The same delivery, with another message in its place.
    pub(crate) fn instead(&self, stored: Stored) -> Self {
        Self { flow: flow_of(&stored), stored, ..self.clone() }
    }

    /// The flow that its subject names, if it names one.
    pub(crate) fn flow(&self) -> Option<&FlowId> {
        self.flow.as_ref()
    }

    /// The event or record that it is, most likely of type `expected`.
    pub(crate) fn read(&self, expected: &EventType) -> Result<Message, InvalidMessage> {
        let Stored { stream, seq, at, subject, headers, malformed, payload } = &self.stored;
        if let Some(reason) = malformed {
            return Err(InvalidMessage::HeaderBlock { reason: reason.clone() });
        }
        let event = subject.rsplit_once('.').map_or("", |(event, _)| event);
        let subject = match &self.flow {
            Some(flow) if event == expected.as_str() => Subject::new(expected.clone(), flow.clone()),
            _ => subject.parse()?,
        };
        Message::read(Arc::clone(stream), *seq, *at, subject, headers, payload.clone())
    }

    /// What an unreadable message goes by.
    pub(crate) fn stored_id(&self) -> EventId {
        EventId::of_stored(&self.stored.stream, self.stored.seq)
    }
}

fn flow_of(stored: &Stored) -> Option<FlowId> {
    FlowId::from_token(stored.subject.rsplit('.').next()?).ok()
}

impl Answers {
    /// To whoever replays.
    pub(crate) fn to_replay(reply: async_nats::Subject, client: &Arc<Client>) -> Self {
        Self { reply, client: Arc::clone(client), to: To::Replay }
    }

    /// Done with it. An acknowledgement that is lost costs a second delivery, which the commit absorbs.
    pub(crate) async fn ack(&self, settled: Settled) {
        point!(BeforeAck);
        let said = match self.to {
            To::Broker => Bytes::from_static(b"+ACK"),
            To::Replay => json(&settled.into()),
        };
        self.answer(said).await;
        point!(AfterAck, self.client);
    }

    /// Deliver it again, later: an attempt failed.
    pub(crate) async fn again_in(&self, delay: Duration, error: &str) {
        let error = || error.to_owned();
        self.later(delay, |again_in_ms| Replayed::Retrying { error: error(), again_in_ms }).await;
    }

    /// Deliver it again, later: it did not come to an attempt.
    pub(crate) async fn not_now(&self, delay: Duration, reason: &str) {
        let error = || reason.to_owned();
        self.later(delay, |again_in_ms| Replayed::Later { error: error(), again_in_ms }).await;
    }

    async fn later(&self, delay: Duration, replayed: impl FnOnce(u64) -> Replayed) {
        point!(BeforeAck);
        let said = match self.to {
            To::Broker => format!(r#"-NAK {{"delay": {}}}"#, delay.as_nanos()).into(),
            To::Replay => json(&replayed(crate::contract::millis(delay))),
        };
        self.answer(said).await;
        point!(AfterAck, self.client);
    }

    /// Never deliver it again; the reason shows in the broker's advisory.
    pub(crate) async fn give_up(&self, reason: &str, error: &str) {
        point!(BeforeAck);
        let said = match self.to {
            To::Broker => format!("+TERM {reason}").into(),
            To::Replay => json(&Replayed::Dead { reason: reason.to_owned(), error: error.to_owned() }),
        };
        self.answer(said).await;
        point!(AfterAck, self.client);
    }

    /// Still at work on it.
    pub(crate) async fn in_progress(&self) {
        let said = match self.to {
            To::Broker => Bytes::from_static(b"+WPI"),
            To::Replay => json(&Replayed::AtWork),
        };
        self.answer(said).await;
    }

    /// What only a replay is answered.
    pub(crate) async fn say(&self, replayed: &Replayed) {
        self.answer(json(replayed)).await;
    }

    async fn answer(&self, answer: Bytes) {
        if let Err(error) = self.client.publish(self.reply.clone(), answer).await {
            tracing::debug!(%error, "an answer to a delivery could not be sent; it will be made again");
        }
    }
}

impl From<Settled> for Replayed {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Emitted => Self::Emitted,
            Settled::Handled => Self::Handled,
            Settled::Before => Self::Absorbed,
            Settled::DeadBefore => Self::DeadBefore,
            Settled::Awaited => Self::Awaited,
            Settled::NotDue => Self::NotDue,
        }
    }
}

/// Answers are made of plain values; they serialize.
fn json(replayed: &Replayed) -> Bytes {
    serde_json::to_vec(replayed).unwrap_or_default().into()
}
