use std::collections::HashMap;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{SYSTEM_RECORDS, error_chain};
use time::OffsetDateTime;

use super::selection::{EVERYTHING, Scope, Selection};
use super::{Record, Replay};
use crate::api;
use crate::mesh::AT_ONCE;
use crate::{Error, Mesh};

/// To count, the broker may have to look through an index of millions of subjects.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The broker forgets a consumer by itself when nobody has asked it for so long.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How often the records of a range are counted while others come after it. Where they never stop coming, it stays a close guess.
const MOST_TRIES: usize = 20;

/// What a selection comes to: the range of each stream, fixed, and how much is in it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) parts: Vec<Part>,
    pub(super) events_only: bool,
}

/// A range of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The service that wrote it.
    pub service: String,
    /// Its home stream.
    pub stream: String,
    /// The first sequence of the range.
    pub first: u64,
    /// Its last sequence. What is stored from now on is above it.
    pub last: u64,
    /// How many records of the range are selected.
    pub records: u64,
    /// How many of those are read and left out: system records, where only events are selected.
    pub left_out: u64,
    pub(super) filters: Vec<String>,
}

impl Plan {
    /// Finds out how much is selected. The range ends where the streams end now, unless the selection says so before; nothing
    /// is read. The broker counts by its indexes.
    ///
    /// # Errors
    /// When the broker does not answer, and [`Error::Selection`] when nothing can be meant.
    pub async fn make(client: &Client, mesh: &Mesh, selection: &Selection) -> Result<Self, Error> {
        let scopes = selection.scopes(mesh)?;
        let streams = api::streams(client).await?;
        let last: HashMap<&str, u64> =
            streams.iter().map(|info| (info.config.name.as_str(), info.state.last_seq)).collect();
        let js = context(client);
        let parts = stream::iter(scopes)
            .map(async |scope| {
                // A stream that was deleted a moment ago has no records.
                let last = last.get(scope.home.stream.as_str()).copied().unwrap_or(0);
                part(&js, selection, scope, last).await
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { parts, events_only: selection.events_only })
    }

    /// How many records are selected, as the broker has counted them: on a replicated stream any replica may have done so, and
    /// not know of the newest ones yet. They are read all the same.
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.records - part.left_out).sum()
    }

    /// The streams and their ranges, also those in which nothing is selected, ordered by service.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Begins to read.
    ///
    /// A message that no client library can read takes down the connection that it comes over. So records come over `bulk`, and
    /// what cannot be read there is asked for over `client`. They may be the same, if that is no concern.
    #[must_use]
    pub fn replay(&self, client: &Client, bulk: &Client) -> Replay {
        self.replay_as(|record| record, client, bulk)
    }

    /// Begins to read, and gives out what `map` makes of each record. It is made as the records of each stream arrive, many
    /// streams at once: for what is costly, or much smaller than a record.
    #[must_use]
    pub fn replay_as<T, F>(&self, map: F, client: &Client, bulk: &Client) -> Replay<T>
    where
        T: Send + 'static,
        F: FnMut(Record) -> T + Clone + Send + 'static,
    {
        Replay::begin(self, map, client, bulk)
    }
}

async fn part(js: &Context, selection: &Selection, scope: Scope<'_>, last: u64) -> Result<Part, Error> {
    let Scope { home, filters } = scope;
    let count = async |filters: &[String], from: From| count(js, &home.stream, filters, from).await;
    let last = last.min(selection.to_seq.unwrap_or(u64::MAX));
    let mut part = Part {
        service: home.service.clone(),
        stream: home.stream.clone(),
        first: selection.from_seq.unwrap_or(1).max(1),
        last,
        records: 0,
        left_out: 0,
        filters,
    };
    // The broker turns times into sequences. Clocks may go back where a leader changes; a range of sequences has no holes.
    if let Some(until) = selection.until {
        let end = count(&part.filters, From::Time(until)).await?;
        part.last = part.last.min(end.first - 1);
    }
    if let Some(since) = selection.since {
        let begin = count(&part.filters, From::Time(since)).await?;
        part.first = part.first.max(begin.first);
    }
    if part.first > part.last {
        return Ok(part);
    }
    let (begin, end) = (From::Seq(part.first), From::Seq(part.last + 1));
    // The stream grows meanwhile. What is after the range is counted before and after what is from its beginning on: between
    // the two differences it is, and where they meet, exactly.
    let within = async |filters: &[String]| {
        let (mut least, mut most) = (0, u64::MAX);
        let mut after = count(filters, end).await?.records;
        for _ in 0..MOST_TRIES {
            let from = count(filters, begin).await?.records;
            most = most.min(from.saturating_sub(after));
            after = count(filters, end).await?.records;
            least = least.max(from.saturating_sub(after));
            if least >= most {
                break;
            }
        }
        Ok::<_, Error>(most)
    };
    part.records = within(&part.filters).await?;
    if selection.events_only && part.records > 0 {
        part.left_out = within(&system_filters(&part.filters)).await?.min(part.records);
    }
    Ok(part)
}

/// The same filters for system records alone.
fn system_filters(filters: &[String]) -> Vec<String> {
    let mut narrowed = Vec::new();
    for filter in filters {
        let filter = if filter == EVERYTHING { "*.*.*" } else { filter };
        let mut tokens = filter.splitn(3, '.');
        let (service, event, flow) = (tokens.next(), tokens.next(), tokens.next());
        let (Some(service), Some(event), Some(flow)) = (service, event, flow) else { continue };
        match event {
            "*" => {
                narrowed.extend(SYSTEM_RECORDS.map(|record| format!("{service}.{record}.{flow}")));
            }
            _ if Record::is_system_event(event) => narrowed.push(filter.to_owned()),
            _ => {}
        }
    }
    narrowed
}

#[derive(Clone, Copy)]
enum From {
    Seq(u64),
    Time(OffsetDateTime),
}

/// What a consumer would get.
struct Count {
    /// Nothing that it would get is below this sequence.
    first: u64,
    records: u64,
}

/// Asks by way of a consumer that is taken away at once: no other question has an answer that is cheap, exact, and not made
/// impossible by a message that no client library can read.
async fn count(js: &Context, stream: &str, filters: &[String], from: From) -> Result<Count, Error> {
    if filters.is_empty() {
        return Ok(Count { first: 1, records: 0 });
    }
    let (name, info) = consumer(js, stream, filters, from).await?;
    // If this fails, it is forgotten by itself.
    let _ = js.delete_consumer_from_stream(&name, stream).await;
    Ok(info)
}

/// A consumer that keeps nothing on disk and is forgotten when nobody asks for a while.
async fn consumer(
    js: &Context,
    stream: &str,
    filters: &[String],
    from: From,
) -> Result<(String, Count), Error> {
    let config = pull::Config {
        description: Some("laban replay".to_owned()),
        deliver_policy: match from {
            From::Seq(start_sequence) => DeliverPolicy::ByStartSequence { start_sequence },
            From::Time(start_time) => DeliverPolicy::ByStartTime { start_time },
        },
        ack_policy: AckPolicy::None,
        // Without a filter the broker need not look at subjects.
        filter_subjects: filters.iter().filter(|filter| *filter != EVERYTHING).cloned().collect(),
        inactive_threshold: FORGOTTEN,
        num_replicas: 1,
        memory_storage: true,
        ..Default::default()
    };
    let made = js.create_consumer_on_stream(config, stream).await.map_err(|error| Error::Broker {
        what: format!("a consumer of stream {stream}"),
        reason: error_chain(&error),
    })?;
    let info = made.cached_info();
    let count = Count { first: info.delivered.stream_sequence + 1, records: info.num_pending };
    Ok((info.name.clone(), count))
}

/// A consumer to read by, from this sequence on: its name, and how many records there are for it.
pub(super) async fn reading_consumer(
    js: &Context,
    stream: &str,
    filters: &[String],
    from_seq: u64,
) -> Result<(String, u64), Error> {
    let (name, count) = consumer(js, stream, filters, From::Seq(from_seq)).await?;
    Ok((name, count.records))
}

pub(super) fn context(client: &Client) -> Context {
    let mut js = jetstream::new(client.clone());
    js.set_timeout(TIMEOUT);
    js
}
