//! Writing what was decided about a dead letter, if that is still to be decided.
//!
//! A decision is written under the fence of the flow's records, as a service's commit is: only if nothing was added to them
//! since they were read. So of two operators one is first, and the other is told who.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use laban_flow::dead::{Letter, Standing, What};
use laban_flow::words;
use laban_wire::{EventId, EventType, FlowReader, HEADER, Meta, Millis, Reaction, Subject, error_chain};
use serde_json::Value;

use crate::Failure;

const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A flow in which so much goes on is busy for other reasons than this dead letter.
const TRIES: u32 = 50;
/// JetStream error codes: the fence is lost, and a write on the same flow is in flight.
const FENCE_LOST: [u64; 2] = [10071, 10164];

/// What became of a decision.
pub(super) enum Written {
    /// It is in the stream, with this sequence.
    Now(u64),
    /// It was not to be decided any more, for this reason.
    Settled(String),
}

/// Writes one record about dead letters.
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    pub(super) reader: &'a FlowReader,
    /// The event name of the record.
    pub(super) record: &'static str,
    /// The states in which it may be written.
    pub(super) from: &'a [Standing],
}

enum Answer {
    Stored(u64),
    FenceLost,
    Unknown,
    Failed(String),
}

impl Writer<'_> {
    /// Writes the record, with the body for the letter's sequence.
    pub(super) async fn write(&self, letter: &Letter, body: Bytes) -> Result<Written, Failure> {
        let id = EventId::root();
        let mut now = letter.clone();
        for tries in 0..TRIES {
            if let Some(own) = now.history.iter().find(|entry| entry.id == id) {
                return Ok(Written::Now(own.seq));
            }
            // Whoever decided saw the letter in this state: what somebody else has decided since is not overruled unseen.
            if now.place != letter.place || now.state != letter.state || !self.from.contains(&now.state) {
                return Ok(Written::Settled(first(&now)));
            }
            match self.publish(&now, id, body.clone()).await? {
                Answer::Stored(seq) => return Ok(Written::Now(seq)),
                // What is in flight shows soon.
                Answer::FenceLost => {
                    tokio::time::sleep(Duration::from_millis(u64::from(2 * tries.min(50)))).await
                }
                // It may be there, or not: reading tells.
                Answer::Unknown => {}
                Answer::Failed(reason) => return Err(Failure::Broker(format!("not written: {reason}"))),
            }
            now = match letter.refreshed_by_leader(self.reader).await? {
                Some(now) => now,
                None => return Ok(Written::Settled("its records are gone".to_owned())),
            };
        }
        Err(Failure::Broker(format!(
            "{}: the flow moves faster than it can be written to; try again",
            letter.place
        )))
    }

    async fn publish(&self, letter: &Letter, id: EventId, body: Bytes) -> Result<Answer, Failure> {
        let service = letter.service.parse().map_err(|_| {
            Failure::NotDone(format!("{}: {:?} is no service's name", letter.place, letter.service))
        })?;
        let subject = Subject::new(EventType::system(&service, self.record), letter.flow.clone());
        let reaction = Reaction {
            cause: letter.cause,
            on: letter.event.clone(),
            handler: letter.handler.as_str().into(),
            attempt: 1,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, Meta { id, version: None, reaction: Some(reaction) }.to_header());
        headers.insert("Nats-Expected-Last-Subject-Sequence", letter.last_seq.to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", letter.records());
        let request = Request::new().headers(headers).payload(body).timeout(Some(ACK_TIMEOUT));
        Ok(match self.client.send_request(subject.to_string(), request).await {
            Ok(answer) => read(&answer.payload),
            Err(error) => match error.kind() {
                RequestErrorKind::TimedOut | RequestErrorKind::Other => Answer::Unknown,
                _ => Answer::Failed(error_chain(&error)),
            },
        })
    }
}

/// The stream's answer. One with an error carries a sequence of 0, so the error is looked for first.
fn read(answer: &[u8]) -> Answer {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match (&answer["error"], answer["seq"].as_u64()) {
        (Value::Null, Some(seq)) => Answer::Stored(seq),
        (Value::Null, None) => Answer::Unknown,
        (error, _) if error["err_code"].as_u64().is_some_and(|code| FENCE_LOST.contains(&code)) => {
            Answer::FenceLost
        }
        (error, _) => {
            Answer::Failed(error["description"].as_str().unwrap_or("the broker refused it").to_owned())
        }
    }
}

/// Who or what was first.
pub(super) fn first(now: &Letter) -> String {
    let last = now.history.iter().rev().find(|entry| {
        !matches!(
            entry.what,
            What::Failed { .. }
                | What::HandedBack { absorbed: true, .. }
                | What::Discarded { absorbed: true, .. }
        )
    });
    match last {
        Some(entry) => {
            format!("{} at {}, {}/{}", entry.what, words::stamp(entry.at), now.place.stream, entry.seq)
        }
        None => format!("it is {}", now.state),
    }
}
