//! Writing what was decided about a dead letter, if that is still to be decided: of two operators one is first, and the other
//! is told who.

use async_nats::Client;
use bytes::Bytes;
use laban_flow::dead::{Letter, Standing, What};
use laban_flow::words;
use laban_wire::{EventId, FlowReader};

use crate::Failure;
use crate::fenced::{self, Answer, Record};

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

impl Writer<'_> {
    /// Writes the record, with the body for the letter's sequence.
    pub(super) async fn write(&self, letter: &Letter, body: Bytes) -> Result<Written, Failure> {
        let service = letter.service.parse().map_err(|_| {
            Failure::NotDone(format!("{}: {:?} is no service's name", letter.place, letter.service))
        })?;
        let record = Record {
            id: EventId::root(),
            service: &service,
            name: self.record,
            flow: &letter.flow,
            cause: letter.cause,
            on: &letter.event,
            handler: &letter.handler,
            attempt: 1,
            body,
        };
        let mut now = letter.clone();
        for tries in 0..fenced::TRIES {
            if let Some(own) = now.history.iter().find(|entry| entry.id == record.id) {
                return Ok(Written::Now(own.seq));
            }
            // Whoever decided saw the letter in this state: what somebody else has decided since is not overruled unseen.
            if now.place != letter.place || now.state != letter.state || !self.from.contains(&now.state) {
                return Ok(Written::Settled(first(&now)));
            }
            match record.append(self.client, now.last_seq).await {
                Answer::Stored(seq) => return Ok(Written::Now(seq)),
                Answer::FenceLost => fenced::pause(tries).await,
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
