//! Backups of streams as `nats stream backup` and `nats stream restore` make and use them: by `$JS.API.STREAM.SNAPSHOT` and
//! `$JS.API.STREAM.RESTORE`.

use std::time::Duration;

use async_nats::{Client, Message, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use laban_flow::streams::Stream;
use laban_tests::Outcome;
use serde_json::{Value, json};

/// The broker waits 5 s for a receiver; a loaded machine has more patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream as it was.
pub(crate) struct Backup {
    pub(crate) stream: String,
    /// What a restore is asked with: `backup.json` of the `nats` command.
    about: Value,
    /// The archive that the `nats` command writes beside it.
    chunks: Vec<Bytes>,
}

impl Backup {
    /// Of one stream, with the consumers on it or without.
    pub(crate) async fn take(client: &Client, stream: &str, consumers: bool) -> Outcome<Self> {
        let inbox = client.new_inbox();
        let mut delivered = client.subscribe(inbox.clone()).await?;
        let asked = json!({"deliver_subject": inbox, "no_consumers": !consumers});
        let about = ask(client, &format!("$JS.API.STREAM.SNAPSHOT.{stream}"), &asked).await?;
        let mut chunks = Vec::new();
        loop {
            let chunk =
                tokio::time::timeout(PATIENCE, delivered.next()).await?.ok_or("the connection is there")?;
            if chunk.payload.is_empty() {
                // It says so when it had to give up.
                let status = chunk.status.map(|status| status.as_u16());
                assert!(
                    status.is_none_or(|status| status == 204),
                    "{stream}: {status:?} {:?}",
                    chunk.description
                );
                break;
            }
            chunks.push(chunk.payload);
            if let Some(reply) = chunk.reply {
                client.publish(reply, Bytes::new()).await?;
            }
        }
        Ok(Self {
            stream: stream.to_owned(),
            about: json!({"config": about["config"], "state": about["state"]}),
            chunks,
        })
    }

    /// Puts it where there is no such stream.
    pub(crate) async fn restore(&self, client: &Client) -> Outcome {
        let stream = &self.stream;
        let answer = ask(client, &format!("$JS.API.STREAM.RESTORE.{stream}"), &self.about).await?;
        let subject = answer["deliver_subject"].as_str().ok_or("where to send it")?.to_owned();
        for chunk in &self.chunks {
            let taken = send(client, subject.clone(), chunk.clone()).await?;
            assert!(taken.payload.is_empty(), "{stream}: {}", String::from_utf8_lossy(&taken.payload));
        }
        let restored = answered(&send(client, subject, Bytes::new()).await?)?;
        assert_eq!(restored["state"]["last_seq"], self.about["state"]["last_seq"], "{stream}: {restored}");
        Ok(())
    }
}

/// Of all streams of the mesh, one after the other; those named come first, in that order.
pub(crate) async fn take_all(client: &Client, first: &[&str], consumers: bool) -> Outcome<Vec<Backup>> {
    let all = Stream::all(client).await?;
    let others = all.iter().map(|stream| stream.name.as_str()).filter(|name| !first.contains(name));
    let mut backups = Vec::new();
    for stream in first.iter().copied().chain(others) {
        backups.push(Backup::take(client, stream, consumers).await?);
    }
    Ok(backups)
}

/// Takes the stream away, and all consumers on it.
pub(crate) async fn delete(client: &Client, stream: &str) -> Outcome {
    ask(client, &format!("$JS.API.STREAM.DELETE.{stream}"), &json!({})).await?;
    Ok(())
}

async fn ask(client: &Client, subject: &str, body: &Value) -> Outcome<Value> {
    answered(&send(client, subject.to_owned(), body.to_string().into()).await?)
}

async fn send(client: &Client, subject: String, payload: Bytes) -> Outcome<Message> {
    let request = Request::new().payload(payload).timeout(Some(PATIENCE));
    Ok(client.send_request(subject, request).await?)
}

fn answered(message: &Message) -> Outcome<Value> {
    let answer: Value = serde_json::from_slice(&message.payload)?;
    match answer.get("error") {
        None => Ok(answer),
        Some(error) => Err(format!("{}: {error}", message.subject).into()),
    }
}
