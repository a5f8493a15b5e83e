//! Requests to running services, over core NATS. One of them may be answered several times: signs of life, then an outcome.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, StatusCode};
use futures_util::StreamExt as _;
use laban_wire::{ReplayRequest, Replayed, error_chain};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;

/// Asks, and gives each answer to whoever waits for it.
pub(super) struct Asking {
    client: Client,
    inbox: String,
    waiting: Waiting,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

type Waiting = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Reply>>>>;

enum Reply {
    Said(Replayed),
    Nobody,
}

/// Why there is no answer.
pub(super) enum Silence {
    /// Nobody has subscribed.
    Nobody,
    /// Whoever was asked says nothing any more.
    Silent,
}

impl Asking {
    pub(super) async fn start(client: &Client) -> Result<Self, Error> {
        let inbox = client.new_inbox();
        let subscribed = client.subscribe(format!("{inbox}.*")).await;
        let mut answers = subscribed.map_err(|error| Error::Broker {
            what: "a subscription for answers".to_owned(),
            reason: error_chain(&error),
        })?;
        let waiting = Waiting::default();
        let heard = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            while let Some(answer) = answers.next().await {
                let Some(number) = answer.subject.rsplit('.').next().and_then(|token| token.parse().ok())
                else {
                    continue;
                };
                let waiting = heard.lock().unwrap_or_else(PoisonError::into_inner);
                // One that came too late is of no use: the question was asked again.
                if let Some(asker) = waiting.get::<u64>(&number) {
                    let _ = asker.send(read(&answer));
                }
            }
        });
        Ok(Self { client: client.clone(), inbox, waiting, next: AtomicU64::new(0), reader })
    }

    /// Asks once, and waits for the outcome for as long as there are signs of life.
    pub(super) async fn ask(
        &self,
        subject: &str,
        request: &ReplayRequest,
        patience: Duration,
    ) -> Result<Replayed, Silence> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, mut replies) = mpsc::unbounded_channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        let _waits = Waits { waiting: &self.waiting, number };
        let reply = format!("{}.{number}", self.inbox);
        let body = serde_json::to_vec(request).map_err(|_| Silence::Silent)?;
        let sent = self.client.publish_with_reply(subject.to_owned(), reply, body.into()).await;
        sent.map_err(|_| Silence::Silent)?;
        loop {
            match tokio::time::timeout(patience, replies.recv()).await {
                Ok(Some(Reply::Said(Replayed::AtWork))) => {}
                Ok(Some(Reply::Said(replayed))) => return Ok(replayed),
                Ok(Some(Reply::Nobody)) => return Err(Silence::Nobody),
                Ok(None) | Err(_) => return Err(Silence::Silent),
            }
        }
    }

    /// Whether the broker is there. While it is not, silence means nothing.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }
}

fn read(answer: &Message) -> Reply {
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Reply::Nobody;
    }
    Reply::Said(serde_json::from_slice(&answer.payload).unwrap_or_else(|error| Replayed::Refused {
        error: format!("an answer that this release does not understand: {error}"),
    }))
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Waits<'a> {
    waiting: &'a Waiting,
    number: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
