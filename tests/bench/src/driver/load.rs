//! Publishing many messages fast: all acknowledged, thousands of acknowledgements outstanding.

use std::sync::Arc;

use async_nats::Client;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::layout::Root;
use crate::error::{Doing as _, Error, Result};

/// Publishes whose acknowledgement is awaited. The broker holds up to 10,000 messages that it has not stored yet, and
/// refuses more.
const OUTSTANDING: usize = 4_096;

/// Publishes all, and returns when all are stored.
///
/// # Errors
/// When the broker refuses one, or the connection breaks.
pub(crate) async fn publish_all(client: &Client, messages: impl Iterator<Item = Root>) -> Result<u64> {
    // One inbox for all: what comes back need only be counted.
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.doing("subscribe to acknowledgements")?;
    let room = Arc::new(Semaphore::new(OUTSTANDING));
    let (published, mut all_published) = tokio::sync::oneshot::channel();
    let counting = {
        let room = Arc::clone(&room);
        tokio::spawn(async move {
            let (mut answered, mut expected) = (0_u64, None);
            while expected != Some(answered) {
                tokio::select! {
                    biased;
                    count = &mut all_published, if expected.is_none() => {
                        expected = Some(count.map_err(|_| Error::new("publishing broke off"))?);
                    }
                    answer = answers.next() => {
                        let answer = answer.ok_or_else(|| Error::new("the broker is gone"))?;
                        refused(&answer)?;
                        answered += 1;
                        room.add_permits(1);
                    }
                }
            }
            Ok::<(), Error>(())
        })
    };
    let mut count = 0;
    for Root { subject, headers, payload } in messages {
        if counting.is_finished() {
            break;
        }
        room.acquire().await.doing("publish")?.forget();
        let sent = match headers {
            Some(headers) => {
                client.publish_with_reply_and_headers(subject, inbox.clone(), headers, payload).await
            }
            None => client.publish_with_reply(subject, inbox.clone(), payload).await,
        };
        sent.doing("publish")?;
        count += 1;
    }
    let _ = published.send(count);
    let patience = std::time::Duration::from_secs(60);
    match tokio::time::timeout(patience, counting).await {
        Ok(counted) => counted.doing("count acknowledgements")??,
        Err(_) => {
            return Err(Error::new(format!("not all of {count} messages were stored within {patience:?}")));
        }
    }
    Ok(count)
}

fn refused(answer: &async_nats::Message) -> Result<()> {
    let no_stream = answer.status.is_some();
    if no_stream || answer.payload.starts_with(br#"{"error""#) {
        let words = String::from_utf8_lossy(&answer.payload);
        let words = if no_stream { "no stream takes it".into() } else { words };
        return Err(Error::new(format!("the broker refused a message: {words}")));
    }
    Ok(())
}
