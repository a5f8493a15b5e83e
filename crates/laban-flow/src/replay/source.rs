//! One stream, read forwards by a consumer of its own.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::{Client, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use laban_wire::{AckSubject, FlowReader, Stored, error_chain};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::Part;
use super::plan::{context, reading_consumer};
use super::record::{Item, Record};
use crate::Error;

/// What is given out for records, in order; or why there is no more.
pub(super) type Batch<T> = Result<Vec<Item<T>>, Error>;

/// Records asked for at a time at most, and at least; asked again when half of them are there.
const PULL: usize = 1_000;
const PULL_LEAST: usize = 8;
/// How large records are, before any has come.
const FIRST_GUESS_BYTES: usize = 32 << 10;
/// Fewer are asked for where they are large, so that about so many bytes are on their way. The broker can be told a limit,
/// but works twice as long for each message then (measured on 2.15.1).
const PULL_BYTES: usize = 4 << 20;
/// Records handed on at a time; fewer where they are large.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1 << 20;
/// How long the broker keeps a request.
const EXPIRES: Duration = Duration::from_secs(10);
/// How often it says that it does.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Without a sign of life for so long, what was asked for is lost.
const SILENCE: Duration = Duration::from_secs(4);
/// How often nothing is to be had in any way before that is an error.
const FRUITLESS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Reads the range of one stream.
pub(super) struct Source<F> {
    part: Part,
    events_only: bool,
    /// Makes of each record what is given out for it.
    map: F,
    service: Arc<str>,
    stream: Arc<str>,
    js: Context,
    bulk: Client,
    leader: FlowReader,
    /// Everything below this sequence has been handed on.
    next: u64,
}

/// How a consumer's part in it ended.
enum End {
    /// All of the range was read.
    Whole,
    /// Nobody wants any more.
    Unwanted,
    /// It cannot be read on like this.
    Broken(String),
}

impl<T, F: FnMut(Record) -> T> Source<F> {
    pub(super) fn new(part: &Part, events_only: bool, map: F, client: &Client, bulk: &Client) -> Self {
        Self {
            part: part.clone(),
            events_only,
            map,
            service: part.service.as_str().into(),
            stream: part.stream.as_str().into(),
            js: context(client),
            bulk: bulk.clone(),
            leader: FlowReader::new(client.clone()),
            next: part.first,
        }
    }

    /// Until all was read, or nobody listens any more.
    pub(super) async fn run(mut self, out: mpsc::Sender<Batch<T>>) {
        // How often in a row a consumer brought nothing; and how often nothing was to be had in any way.
        let (mut barren, mut fruitless) = (0, 0);
        loop {
            let before = self.next;
            let mut reason = match self.by_consumer(&out).await {
                Ok(End::Whole | End::Unwanted) => return,
                Ok(End::Broken(reason)) => Error::Broker { what: self.what(), reason },
                Err(error) => error,
            };
            if self.next > before {
                (barren, fruitless) = (0, 0);
                continue;
            }
            // The next message may be one that no client library can read. The leader tells it as JSON; the more, the longer
            // nothing else comes.
            match self.by_leader(1 << barren.min(10), &out).await {
                Ok(End::Whole | End::Unwanted) => return,
                Ok(End::Broken(_)) => {}
                Err(error) => reason = error,
            }
            barren += 1;
            if self.next > before {
                fruitless = 0;
                continue;
            }
            fruitless += 1;
            if fruitless >= FRUITLESS {
                let _ = out.send(Err(reason)).await;
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = out.closed() => return,
            }
        }
    }

    fn what(&self) -> String {
        format!("the records of stream {} from {} on", self.part.stream, self.next)
    }

    async fn by_consumer(&mut self, out: &mpsc::Sender<Batch<T>>) -> Result<End, Error> {
        let failed = |what: String, reason: String| Error::Broker { what, reason };
        let (name, pending) =
            reading_consumer(&self.js, &self.part.stream, &self.part.filters, self.next).await?;
        let inbox = self.bulk.new_inbox();
        let end = match self.bulk.subscribe(inbox.clone()).await {
            Ok(answers) => {
                let mut pull = Pull {
                    subject: self.pull_subject(&name),
                    inbox,
                    answers,
                    open: 0,
                    delivered: 0,
                    typical_bytes: FIRST_GUESS_BYTES,
                };
                self.pull(&mut pull, pending, out).await
            }
            Err(error) => Err(failed(self.what(), error_chain(&error))),
        };
        // If this fails, it is forgotten by itself.
        let _ = self.js.delete_consumer_from_stream(&name, &self.part.stream).await;
        end
    }

    fn pull_subject(&self, consumer: &str) -> String {
        format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", self.part.stream)
    }

    async fn pull(
        &mut self,
        pull: &mut Pull,
        mut pending: u64,
        out: &mpsc::Sender<Batch<T>>,
    ) -> Result<End, Error> {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if pending == 0 && self.is_whole().await? {
                return Ok(hand_on(&mut batch, out).await.unwrap_or(End::Whole));
            }
            if pull.open < pull.most() / 2 {
                pull.ask(&self.bulk).await?;
            }
            let mut come = tokio::select! {
                answer = tokio::time::timeout(SILENCE, pull.answers.next()) => match answer {
                    Ok(answer) => answer,
                    Err(_) => return Ok(End::Broken(format!("nothing within {} s", SILENCE.as_secs()))),
                },
                () = out.closed() => return Ok(End::Unwanted),
            };
            if come.is_none() {
                return Ok(End::Broken("the subscription ended".to_owned()));
            }
            let mut bytes = 0;
            while let Some(answer) = come {
                match pull.take(answer) {
                    Come::Record(position, message) => {
                        if position.seq > self.part.last {
                            return Ok(hand_on(&mut batch, out).await.unwrap_or(End::Whole));
                        }
                        pending = position.pending;
                        bytes += message.payload.len();
                        let stored = self.stored(position, message)?;
                        self.add(stored, &mut batch);
                    }
                    Come::Nothing => {}
                    Come::End(reason) => {
                        return Ok(hand_on(&mut batch, out).await.unwrap_or(End::Broken(reason)));
                    }
                }
                if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                    break;
                }
                come = pull.answers.next().now_or_never().flatten();
            }
            if let Some(end) = hand_on(&mut batch, out).await {
                return Ok(end);
            }
        }
    }

    /// Whether nothing of the range is left; a consumer may be on a replica that lags behind, so the leader is asked.
    async fn is_whole(&mut self) -> Result<bool, Error> {
        if self.next > self.part.last {
            return Ok(true);
        }
        for filter in &self.part.filters {
            let next = self.leader.leader_next(&self.part.stream, filter, self.next).await?;
            if next.is_some_and(|stored| stored.seq <= self.part.last) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn stored(&self, position: AckSubject, message: async_nats::Message) -> Result<Stored, Error> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(position.nanos.into())
            .map_err(|error| Error::Broker { what: self.what(), reason: error.to_string() })?;
        Ok(Stored {
            stream: Arc::clone(&self.stream),
            seq: position.seq,
            at,
            subject: message.subject.into_string(),
            headers: message.headers.unwrap_or_default(),
            malformed: None,
            payload: message.payload,
        })
    }

    /// What is made of a record is made here, while it is in the processor's cache: what waits in the merge is small.
    fn add(&mut self, stored: Stored, batch: &mut Vec<Item<T>>) {
        self.next = stored.seq + 1;
        let record = Record::new(Arc::clone(&self.service), stored);
        if !(self.events_only && record.is_system()) {
            batch.push(Item::new(record, &mut self.map));
        }
    }

    /// At most so many records, one by one.
    async fn by_leader(&mut self, most: usize, out: &mpsc::Sender<Batch<T>>) -> Result<End, Error> {
        for _ in 0..most {
            let mut found: Option<Stored> = None;
            for filter in &self.part.filters {
                let next = self.leader.leader_next(&self.part.stream, filter, self.next).await?;
                found = found.into_iter().chain(next).min_by_key(|stored| stored.seq);
            }
            let Some(stored) = found.filter(|stored| stored.seq <= self.part.last) else {
                return Ok(End::Whole);
            };
            let mut batch = Vec::new();
            self.add(stored, &mut batch);
            if let Some(end) = hand_on(&mut batch, out).await {
                return Ok(end);
            }
        }
        Ok(End::Broken(String::new()))
    }
}

/// Hands on what there is; says so when nobody wants it.
async fn hand_on<T>(batch: &mut Vec<Item<T>>, out: &mpsc::Sender<Batch<T>>) -> Option<End> {
    if batch.is_empty() {
        return None;
    }
    let full = std::mem::replace(batch, Vec::with_capacity(BATCH));
    out.send(Ok(full)).await.err().map(|_| End::Unwanted)
}

/// What is asked of one consumer, and what it has answered.
struct Pull {
    subject: String,
    inbox: String,
    answers: Subscriber,
    /// Records asked for that have not come.
    open: usize,
    /// Records that have come.
    delivered: u64,
    /// How large they are, lately.
    typical_bytes: usize,
}

enum Come {
    Record(AckSubject, async_nats::Message),
    /// A word on a request.
    Nothing,
    /// No more will come.
    End(String),
}

impl Pull {
    /// How many records to ask for at a time.
    fn most(&self) -> usize {
        (PULL_BYTES / self.typical_bytes.max(1)).clamp(PULL_LEAST, PULL)
    }

    async fn ask(&mut self, client: &Client) -> Result<(), Error> {
        let most = self.most();
        let request = serde_json::json!({
            "batch": most,
            "expires": u64::try_from(EXPIRES.as_nanos()).unwrap_or(u64::MAX),
            "idle_heartbeat": u64::try_from(HEARTBEAT.as_nanos()).unwrap_or(u64::MAX),
        });
        let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
        client
            .publish_with_reply(subject, inbox, request.to_string().into())
            .await
            .map_err(|error| Error::Broker { what: "records".to_owned(), reason: error_chain(&error) })?;
        self.open += most;
        Ok(())
    }

    fn take(&mut self, answer: async_nats::Message) -> Come {
        // A stored message may carry a status line of its own.
        if let Some(position) = answer.reply.as_deref().and_then(AckSubject::read) {
            self.open = self.open.saturating_sub(1);
            self.delivered += 1;
            // Larger ones count at once, smaller ones by and by.
            self.typical_bytes = answer.length.max(self.typical_bytes - self.typical_bytes / 16);
            // What was on its way over a connection that broke is lost.
            if position.delivery != self.delivered {
                return Come::End(format!("delivery {} is lost", self.delivered));
            }
            return Come::Record(position, answer);
        }
        let said = answer.description.as_deref().unwrap_or_default();
        match answer.status {
            // The broker may go on over a new connection and know nothing of what the old one took with it.
            Some(StatusCode::IDLE_HEARTBEAT) => match number(&answer, "Nats-Last-Consumer") {
                Some(last) if last != self.delivered => Come::End(format!("delivery {last} is lost")),
                _ => Come::Nothing,
            },
            Some(status) if status.as_u16() == 408 => {
                let unused = number(&answer, "Nats-Pending-Messages");
                let unused = unused.map_or(self.open, |n| usize::try_from(n).unwrap_or(usize::MAX));
                self.open = self.open.saturating_sub(unused);
                Come::Nothing
            }
            Some(status) => Come::End(format!("{status} {said}")),
            None => Come::End("a message that no consumer delivered".to_owned()),
        }
    }
}

fn number(answer: &async_nats::Message, header: &str) -> Option<u64> {
    answer.headers.as_ref()?.get(header)?.as_str().parse().ok()
}
