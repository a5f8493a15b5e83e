//! History read again: what is selected, how much it is, and its records in causal order.

mod json;
mod line;
mod merge;
mod plan;
mod record;
pub mod run;
mod selection;
pub mod shadow;
mod source;
#[cfg(test)]
mod testing;
mod totals;

use std::ops::ControlFlow;
use std::time::Duration;

use async_nats::Client;
use tokio::sync::mpsc::{self, error::TryRecvError};
use tokio::task::JoinSet;

pub use plan::{Part, Plan};
pub use record::Record;
pub use selection::Selection;
pub use totals::{Count, Tally, Totals};

use crate::Error;
use merge::Merge;
use record::Item;
use source::{Batch, Source};

/// Batches that wait between a stream's reader and the merge.
const BATCHES: usize = 2;
/// How long a reader may take to take leave of the broker.
const LEAVE: Duration = Duration::from_secs(2);

/// The selected records, each after what its stream held before it and after its cause.
///
/// The cause comes first if it is selected, and among the next 2,048 records (or 4 MiB) of its stream when it is its
/// effect's turn. Where causes say nothing, streams are merged by the broker's timestamps. So the clocks of two brokers put an
/// effect before its cause only when they differ by more than the time that those records span.
///
/// Memory is bounded by that look-ahead and what is on its way from the broker: some MiB for each stream, and where bodies are
/// large not much over 16 MiB.
///
/// Read by consumers of its own that forget themselves; live consumers are not touched. [`close`](Self::close) takes them
/// away at once.
#[derive(Debug)]
pub struct Replay<T = Record> {
    lanes: Vec<mpsc::Receiver<Batch<T>>>,
    merge: Merge<Item<T>>,
    readers: JoinSet<()>,
}

impl<T: Send + 'static> Replay<T> {
    fn begin<F>(plan: &Plan, map: F, client: &Client, bulk: &Client) -> Self
    where
        F: FnMut(Record) -> T + Clone + Send + 'static,
    {
        let (mut lanes, mut readers) = (Vec::new(), JoinSet::new());
        // Also where nothing was counted: a replica that lags behind may have counted.
        for part in plan.parts.iter().filter(|part| part.first <= part.last) {
            let (sender, receiver) = mpsc::channel(BATCHES);
            let source = Source::new(part, plan.events_only, map.clone(), client, bulk);
            readers.spawn(source.run(sender));
            lanes.push(receiver);
        }
        let merge = Merge::new(lanes.len());
        Self { lanes, merge, readers }
    }

    /// The next record; nothing when that was all. Cancelled, it loses none.
    ///
    /// # Errors
    /// When a stream cannot be read on.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            match self.ready()? {
                ControlFlow::Break(Some(record)) => return Ok(Some(record)),
                ControlFlow::Continue(lane) => match self.lanes[lane].recv().await {
                    Some(batch) => self.merge.add(lane, batch?),
                    None => self.merge.end(lane),
                },
                ControlFlow::Break(None) => {
                    // What a reader that panicked did not read is not the end of the stream.
                    while let Some(read) = self.readers.join_next().await {
                        let failed = |reason: String| Error::Broker { what: "records".to_owned(), reason };
                        read.map_err(|error| failed(error.to_string()))?;
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The next record, if it is there already.
    ///
    /// # Errors
    /// When a stream cannot be read on.
    pub fn try_next(&mut self) -> Result<Option<T>, Error> {
        Ok(match self.ready()? {
            ControlFlow::Break(next) => next,
            ControlFlow::Continue(_) => None,
        })
    }

    /// What comes next: a record, or nothing any more; or the lane that must be heard first.
    fn ready(&mut self) -> Result<ControlFlow<Option<T>, usize>, Error> {
        loop {
            if let Some(lane) = self.merge.hungry() {
                match self.lanes[lane].try_recv() {
                    Ok(batch) => self.merge.add(lane, batch?),
                    Err(TryRecvError::Empty) => return Ok(ControlFlow::Continue(lane)),
                    Err(TryRecvError::Disconnected) => self.merge.end(lane),
                }
                continue;
            }
            return Ok(ControlFlow::Break(self.merge.take().map(|item| item.value)));
        }
    }

    /// Ends, and leaves nothing behind on the broker.
    pub async fn close(mut self) {
        self.lanes.clear();
        let all = async { while self.readers.join_next().await.is_some() {} };
        // What is left then, the broker forgets by itself.
        let _ = tokio::time::timeout(LEAVE, all).await;
    }
}
