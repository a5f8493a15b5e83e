//! `laban dead redrive --wait`: what became of what was handed back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::{Client, Request};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_flow::dead::{Letter, Place, Standing};
use laban_wire::{FlowReader, REDRIVE};
use serde_json::{Value, json};

use super::text::Text;
use crate::{Failure, terminal};

/// From one look to the next: from the first, up to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];
/// How many flows are read at once.
const READS: usize = 16;

pub(super) struct Follow<'a> {
    pub(super) client: &'a Client,
    pub(super) reader: &'a FlowReader,
    pub(super) timeout: Duration,
    pub(super) json: bool,
}

/// What is known of a letter that was handed back.
enum Seen {
    Undecided,
    Decided(Box<Letter>),
    /// Its service has done with it, and there is no record.
    Unrecorded,
}

/// Whether nothing has come of the redrive yet, or a replica answered that does not know of it.
fn is_undecided(now: Option<&Letter>, redrive: u64) -> bool {
    let knows = |now: &Letter| now.history.iter().any(|entry| entry.seq == redrive);
    now.is_none_or(|now| now.state == Standing::Redriven || !knows(now))
}

#[derive(Default)]
struct Became {
    succeeded: usize,
    failed: usize,
    discarded: usize,
    unrecorded: usize,
}

impl Follow<'_> {
    /// Waits until all of them are decided.
    pub(super) async fn all(&self, mut pending: Vec<(Letter, u64)>) -> Result<(), Failure> {
        let (count, ends) = (pending.len(), Instant::now() + self.timeout);
        let mut became = Became::default();
        let mut pause = PAUSES[0];
        let progress = terminal::progress("waiting");
        let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
        let mut stopped = false;
        loop {
            // What the service has acknowledged before is recorded by now, if it is recorded at all.
            let floors = self.floors(&pending).await;
            let read: Vec<(Letter, u64, Seen)> = stream::iter(pending)
                .map(async |(letter, seq)| {
                    let mut now = letter.refreshed(self.reader).await?;
                    let acknowledged = floors.get(&letter.place.stream).is_some_and(|floor| *floor >= seq);
                    if acknowledged && is_undecided(now.as_ref(), seq) {
                        now = letter.refreshed_by_leader(self.reader).await?;
                        if is_undecided(now.as_ref(), seq) {
                            return Ok((letter, seq, Seen::Unrecorded));
                        }
                    }
                    let seen = match now {
                        Some(now) if !is_undecided(Some(&now), seq) => Seen::Decided(Box::new(now)),
                        _ => Seen::Undecided,
                    };
                    Ok::<_, laban_flow::Error>((letter, seq, seen))
                })
                .buffer_unordered(READS)
                .try_collect()
                .await?;
            pending = Vec::new();
            for (letter, seq, seen) in read {
                match seen {
                    Seen::Undecided => pending.push((letter, seq)),
                    Seen::Unrecorded => progress.suspend(|| self.say(&letter, None, &mut became))?,
                    Seen::Decided(now) => progress.suspend(|| self.say(&letter, Some(&now), &mut became))?,
                }
            }
            if pending.is_empty() || Instant::now() >= ends || stopped {
                break;
            }
            progress.set_message(format!("{} of {count} are still being tried", pending.len()));
            tokio::select! {
                _ = &mut stop => stopped = true,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES[1]),
            }
            if stopped {
                break;
            }
        }
        progress.finish_and_clear();
        became.judged(pending.len(), self.json)
    }

    fn say(&self, letter: &Letter, now: Option<&Letter>, became: &mut Became) -> Result<(), Failure> {
        let (counter, word) = match now.map(|now| now.state) {
            Some(Standing::Succeeded) => (&mut became.succeeded, "succeeded"),
            Some(Standing::Discarded) => (&mut became.discarded, "discarded"),
            Some(_) => (&mut became.failed, "failed_again"),
            None => (&mut became.unrecorded, "unrecorded"),
        };
        *counter += 1;
        if self.json {
            let (place, error) = (now.map(|now| &now.place), now.map(|now| &now.error));
            let error = error.filter(|_| word == "failed_again");
            let line = json!({
                "letter": letter.place, "flow": letter.flow.key(), "became": word, "error": error,
                "now": place.filter(|place| **place != letter.place),
            });
            return terminal::print(&format!("{line}\n"));
        }
        if let (Some(now), "failed_again") = (now, word) {
            let text = Text::for_terminal();
            let (name, error) = (text.name(now), text.plain(&now.error));
            terminal::say(&format!("laban: failed again: {name}: {error}"));
        }
        Ok(())
    }

    /// Up to where each stream's redrives have been acknowledged; nothing of those that cannot be asked.
    async fn floors(&self, pending: &[(Letter, u64)]) -> HashMap<String, u64> {
        let mut floors = HashMap::new();
        for (Letter { place: Place { stream, .. }, service, .. }, _) in pending {
            if floors.contains_key(stream) {
                continue;
            }
            let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{service}_{REDRIVE}");
            let request = Request::new().payload("".into()).timeout(Some(Duration::from_secs(2)));
            let answer = self.client.send_request(subject, request).await;
            let info: Value = answer
                .ok()
                .and_then(|answer| serde_json::from_slice(&answer.payload).ok())
                .unwrap_or_default();
            floors.insert(stream.clone(), info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default());
        }
        floors
    }
}

impl Became {
    fn judged(&self, pending: usize, json: bool) -> Result<(), Failure> {
        let Self { succeeded, failed, discarded, unrecorded } = *self;
        let parts = [
            (succeeded, "succeeded"),
            (failed, "failed again"),
            (discarded, "discarded"),
            (
                unrecorded,
                "taken without a record: refused by an older release, or by an at-least-once handler without an event",
            ),
            (pending, "still being tried"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let line = parts.join(", ");
        match (failed + unrecorded, pending) {
            (0, 0) => {
                if json {
                    Ok(())
                } else {
                    terminal::print(&format!("{line}\n"))
                }
            }
            (0, _) => Err(Failure::NotDone(format!(
                "{line}; `laban dead list --state redriven` shows what is not decided"
            ))),
            _ => Err(Failure::NotDone(format!("{line}; `laban dead list` shows what is open"))),
        }
    }
}
