//! What an operator decides about a reaction: a record in its service's home stream.
//!
//! It is written under the fence of the flow's records, as a service's commit is: only if nothing was added to them since they
//! were read. So of two operators one is first.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use laban_wire::{
    EventId, EventType, FlowId, HEADER, Meta, Millis, Reaction, ServiceName, Subject, error_chain,
};
use serde_json::Value;

const ACK_TIMEOUT: Duration = Duration::from_secs(5);
/// A flow in which so much goes on is busy for other reasons than this decision.
pub(crate) const TRIES: u32 = 50;
/// JetStream error codes: the fence is lost, and a write on the same flow is in flight.
const FENCE_LOST: [u64; 2] = [10071, 10164];

/// A record about a reaction.
pub(crate) struct Record<'a> {
    /// The same for each try: what is found with it was written.
    pub(crate) id: EventId,
    pub(crate) service: &'a ServiceName,
    /// Its event name.
    pub(crate) name: &'static str,
    pub(crate) flow: &'a FlowId,
    pub(crate) cause: EventId,
    pub(crate) on: &'a EventType,
    pub(crate) handler: &'a str,
    pub(crate) attempt: u32,
    pub(crate) body: Bytes,
}

pub(crate) enum Answer {
    Stored(u64),
    FenceLost,
    Unknown,
    Failed(String),
}

impl Record<'_> {
    /// Appends it, if `last_seq` is the last of the service's records about the flow.
    pub(crate) async fn append(&self, client: &Client, last_seq: u64) -> Answer {
        let subject = Subject::new(EventType::system(self.service, self.name), self.flow.clone());
        let reaction = Reaction {
            cause: self.cause,
            on: self.on.clone(),
            handler: self.handler.into(),
            attempt: self.attempt,
            queue_ms: Millis::default(),
            handle_ms: Millis::default(),
        };
        let all = Subject::all_of(self.service.as_str(), self.flow);
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, Meta { id: self.id, version: None, reaction: Some(reaction) }.to_header());
        headers.insert("Nats-Expected-Last-Subject-Sequence", last_seq.to_string());
        headers.insert("Nats-Expected-Last-Subject-Sequence-Subject", all);
        let request = Request::new().headers(headers).payload(self.body.clone()).timeout(Some(ACK_TIMEOUT));
        match client.send_request(subject.to_string(), request).await {
            Ok(answer) => read(&answer.payload),
            Err(error) => match error.kind() {
                RequestErrorKind::TimedOut | RequestErrorKind::Other => Answer::Unknown,
                _ => Answer::Failed(error_chain(&error)),
            },
        }
    }
}

/// A pause after a fence that was lost: what is in flight shows soon.
pub(crate) async fn pause(tries: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(2 * tries.min(50)))).await;
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
