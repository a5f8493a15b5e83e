//! Waits until the replicas of a stream, and of its consumers, have all that the leader has.

use std::time::{Duration, Instant};

use async_nats::Client;
use indicatif::ProgressBar;
use laban_flow::streams::Stream;

use crate::flow::period::Period;
use crate::signals::Signals;
use crate::{Failure, terminal};

/// From one look to the next: from the first, up to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Returns how long it took; ends when a signal comes, or came since they are listened for.
pub(super) async fn until_current(
    client: &Client,
    stream: &Stream,
    replicas: usize,
    timeout: Duration,
    signals: &mut Signals,
) -> Result<Duration, Failure> {
    let (began, mut pause) = (Instant::now(), PAUSES[0]);
    let progress = terminal::progress("waiting");
    loop {
        let lacks = lacks(client, stream, replicas).await;
        let Some(lacks) = lacks else {
            progress.finish_and_clear();
            return Ok(began.elapsed());
        };
        tell(&progress, &stream.name, &lacks);
        if began.elapsed() >= timeout {
            progress.finish_and_clear();
            return Err(Failure::NotDone(format!(
                "stream {}: {lacks}, after {}; the broker goes on by itself, and `laban stream list` shows how far it is",
                stream.name,
                Period::text(began.elapsed())
            )));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES[1]),
            () = signals.next() => {
                progress.finish_and_clear();
                return Err(Failure::NotDone(format!(
                    "stopped while stream {} was on its way ({lacks}); the broker goes on with it by itself",
                    stream.name
                )));
            }
        }
    }
}

/// What is not yet as it should be; nothing if all is. Answers may fail while nodes come and go.
async fn lacks(client: &Client, stream: &Stream, replicas: usize) -> Option<String> {
    let now = match stream.refreshed(client).await {
        Ok(now) => now,
        Err(error) => return Some(error.to_string()),
    };
    if now.replicas != replicas {
        return Some(format!("it is to have {} replicas", now.replicas));
    }
    if !now.is_current() {
        let behind = now.peers.iter().map(|peer| peer.lag).max().unwrap_or_default();
        let there = now.replicas - now.missing();
        return Some(match (now.missing(), behind) {
            (0, _) => "an old replica is still there".to_owned(),
            (_, 0) => format!("{there} of {replicas} replicas are current"),
            (_, behind) => format!("{there} of {replicas} replicas are current, {behind} operations behind"),
        });
    }
    match now.consumers_behind(client).await {
        Ok(behind) if behind.is_empty() => None,
        Ok(behind) => Some(format!("{} of its consumers are not current yet", behind.len())),
        Err(error) => Some(error.to_string()),
    }
}

fn tell(progress: &ProgressBar, stream: &str, lacks: &str) {
    progress.set_message(format!("{stream}: {lacks}"));
}
