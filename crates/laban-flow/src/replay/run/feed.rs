//! What is handed over next, and when.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use laban_wire::EventType;
use tokio::time::Instant;

use super::hand::Job;
use crate::Error;
use crate::replay::{Record, Replay};

pub(super) struct Feed<'a> {
    replay: Replay,
    reacting: &'a HashMap<EventType, Vec<usize>>,
    /// The handlers that the last record is still to be handed to.
    waiting: VecDeque<Job>,
    every: Option<Duration>,
    next_at: Instant,
}

impl<'a> Feed<'a> {
    pub(super) fn new(
        replay: Replay,
        reacting: &'a HashMap<EventType, Vec<usize>>,
        rate: Option<f64>,
    ) -> Self {
        let every = rate.filter(|rate| *rate > 0.0).map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self { replay, reacting, waiting: VecDeque::new(), every, next_at: Instant::now() }
    }

    /// The next one, when its time has come. Whoever gives up waiting loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Job>, Error> {
        while self.waiting.is_empty() {
            match self.replay.next().await? {
                Some(record) => self.waiting.extend(self.jobs(&record)),
                None => return Ok(None),
            }
        }
        if let Some(every) = self.every {
            tokio::time::sleep_until(self.next_at).await;
            // What was missed is not made up for.
            self.next_at = self.next_at.max(Instant::now() - every) + every;
        }
        Ok(self.waiting.pop_front())
    }

    fn jobs(&self, record: &Record) -> Vec<Job> {
        let stored = &record.stored;
        let event = stored.subject.rsplit_once('.').and_then(|(event, _)| event.parse::<EventType>().ok());
        let handlers = event.and_then(|event| self.reacting.get(&event));
        let job = |handler: &usize| Job {
            handler: *handler,
            stream: stored.stream.clone(),
            seq: stored.seq,
            at: stored.at,
        };
        handlers.into_iter().flatten().map(job).collect()
    }

    /// What was read and not handed over.
    pub(super) fn left(&self) -> impl Iterator<Item = &Job> {
        self.waiting.iter()
    }

    pub(super) async fn close(self) {
        self.replay.close().await;
    }
}
