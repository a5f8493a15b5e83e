//! Asking the broker, by somebody who may not be allowed to ask everything.

use std::time::{Duration, Instant};

use async_nats::{Client, Message, Request, RequestErrorKind, StatusCode};
use futures_util::StreamExt as _;
use laban_wire::error_chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::Unseen;
use super::refusals::{Refusals, Refused};
use crate::api::{ApiError, Page};

/// A cluster itself waits up to four seconds for those that do not answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and gives up at once where asking is not permitted: the broker answers that with silence.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) refusals: &'a Refusals,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum No {
    /// This user may not ask.
    Refused { subject: String },
    /// This user may not hear answers.
    Deaf { inbox: String },
    /// Nobody listens there.
    Nobody { subject: String },
    /// Somebody does, and says nothing.
    Silent { subject: String },
    /// The answer is an error.
    Said { code: u64, text: String },
    /// Something else.
    Other { text: String },
}

impl No {
    /// That `what` was therefore not looked at.
    pub(in super::super) fn unseen(&self, what: &str) -> Unseen {
        match self {
            Self::Refused { subject } => Unseen::new(
                what,
                format!("this user may not publish to `{subject}`"),
                format!("allow it to publish to `{subject}`"),
            ),
            Self::Deaf { inbox } => Unseen::new(
                what,
                format!("this user may not subscribe to `{inbox}`, where answers come"),
                "allow it to; or name the inbox that it has: NATS_INBOX_PREFIX, or `inbox_prefix` in its context",
            ),
            Self::Nobody { subject } => Unseen::new(
                what,
                format!("nobody answers `{subject}`"),
                "connect to a server that has JetStream, with an account that may use it",
            ),
            Self::Silent { subject } => Unseen::new(
                what,
                format!("no answer to `{subject}` within {} s", PATIENCE.as_secs()),
                "look again when the cluster has its leaders",
            ),
            Self::Said { code, text } => Unseen::new(
                what,
                format!("the broker says: {text} ({code})"),
                "look again when that is mended",
            ),
            Self::Other { text } => Unseen::new(what, text.clone(), "look again"),
        }
    }
}

/// A list, and the names of those that are on it and do not answer.
#[derive(Debug)]
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    pub(super) silent: Vec<String>,
}

#[derive(Deserialize)]
struct Failed {
    error: Option<ApiError>,
}

/// One of many answers.
pub(super) struct Answer {
    pub(super) message: Message,
    pub(super) heard: Instant,
}

impl Asking<'_> {
    /// One question, one answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, subject: &str, body: &str) -> Result<T, No> {
        let request = Request::new().payload(body.to_owned().into()).timeout(Some(PATIENCE));
        let told = || subject.to_owned();
        let asked = async {
            self.client.send_request(subject.to_owned(), request).await.map_err(|e| match e.kind() {
                RequestErrorKind::NoResponders => No::Nobody { subject: told() },
                RequestErrorKind::TimedOut => No::Silent { subject: told() },
                _ => No::Other { text: error_chain(&e) },
            })
        };
        let answer = self.unless_refused(&[subject], asked).await??;
        let garbled = |e: serde_json::Error| No::Other { text: format!("the answer to `{subject}`: {e}") };
        let failed: Failed = serde_json::from_slice(&answer.payload).map_err(garbled)?;
        if let Some(ApiError { err_code, description }) = failed.error {
            return Err(No::Said { code: err_code, text: description });
        }
        serde_json::from_slice(&answer.payload).map_err(garbled)
    }

    /// A list, read to its end.
    pub(super) async fn list<T: DeserializeOwned>(&self, subject: &str) -> Result<Listed<T>, No> {
        let mut all = Listed { items: Vec::new(), silent: Vec::new() };
        loop {
            let body = serde_json::json!({ "offset": all.items.len() }).to_string();
            let mut page: Page<T> = self.ask(subject, &body).await?;
            all.silent.extend(page.take_silent());
            let items = page.items.unwrap_or_default();
            let none = items.is_empty();
            all.items.extend(items);
            if none || all.items.len() >= page.total {
                all.silent.sort();
                all.silent.dedup();
                return Ok(all);
            }
        }
    }

    /// One question to everybody; all answers of a time. Also says when it was asked.
    pub(super) async fn everybody(
        &self,
        subject: &str,
        body: &'static str,
        within: Duration,
    ) -> Result<(Instant, Vec<Answer>), No> {
        let other = |e: &(dyn std::error::Error + 'static)| No::Other { text: error_chain(e) };
        let inbox = self.client.new_inbox();
        let mut heard = self.client.subscribe(inbox.clone()).await.map_err(|e| other(&e))?;
        let asked = Instant::now();
        self.client
            .publish_with_reply(subject.to_owned(), inbox, body.into())
            .await
            .map_err(|e| other(&e))?;
        let listening = async {
            let mut answers = Vec::new();
            let end = tokio::time::Instant::now() + within;
            while let Ok(Some(message)) = tokio::time::timeout_at(end, heard.next()).await {
                if message.status == Some(StatusCode::NO_RESPONDERS) {
                    return Err(No::Nobody { subject: subject.to_owned() });
                }
                answers.push(Answer { message, heard: Instant::now() });
            }
            Ok(answers)
        };
        let answers = self.unless_refused(&[subject], listening).await??;
        Ok((asked, answers))
    }

    /// Works on, until the broker refuses one of these subjects; each stands for all that begin with it.
    pub(super) async fn unless_refused<T>(
        &self,
        subjects: &[&str],
        work: impl Future<Output = T>,
    ) -> Result<T, No> {
        tokio::select! {
            done = work => Ok(done),
            refused = self.refusals.of(subjects) => Err(match refused {
                Refused::Publish(subject) => No::Refused { subject },
                Refused::Subscribe(inbox) => No::Deaf { inbox },
            }),
        }
    }
}
