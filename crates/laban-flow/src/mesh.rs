use std::time::{Duration, Instant};

use async_nats::Client;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_wire::{EventType, metadata};
use time::OffsetDateTime;

use crate::api::{self, ConsumerInfo};
use crate::clock::BrokerClock;
use crate::standing::{Standing, Standings};
use crate::{Deadline, Declared, Error, Reactions, Since};

/// How many streams are asked at once.
pub(crate) const AT_ONCE: usize = 16;

/// What the account's broker says about its services: who writes where, and who reacts to what.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// All home streams, ordered by service.
    pub homes: Vec<Home>,
    /// All declared reactions.
    pub reactions: Reactions,
    /// Consumers that claim to be a service's and cannot be understood, with the reason. What they await is unknown.
    pub problems: Vec<String>,
    /// How far each declared reaction's consumer had come.
    pub(crate) standings: Standings,
    pub(crate) clock: Option<BrokerClock>,
}

/// A service and the stream it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// The service.
    pub service: String,
    /// Its home stream.
    pub stream: String,
}

impl Mesh {
    /// Asks the broker for the home streams and the consumers on them.
    ///
    /// # Errors
    /// When the broker does not answer, knows of streams or consumers that do not, or holds a home stream of a wire
    /// format that this release does not read.
    pub async fn discover(client: &Client) -> Result<Self, Error> {
        let mut homes = Vec::new();
        let streams = api::streams(client).await?;
        let clock = BrokerClock::new(streams.iter().filter_map(|info| info.ts).max(), Instant::now());
        for info in streams {
            let Some(service) = info.config.metadata.get(metadata::SERVICE) else { continue };
            let stream = info.config.name;
            match info.config.metadata.get(metadata::WIRE) {
                Some(found) if found != metadata::WIRE_VERSION => {
                    return Err(Error::WireFormat { stream, found: found.clone() });
                }
                _ => homes.push(Home { service: service.clone(), stream }),
            }
        }
        homes.sort_by(|a, b| (&a.service, &a.stream).cmp(&(&b.service, &b.stream)));
        let consumers: Vec<_> = stream::iter(&homes)
            .map(async |home| Ok::<_, Error>((home, api::consumers(client, &home.stream).await?)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut declared = Vec::new();
        let mut problems = Vec::new();
        let mut standings = Standings::default();
        for (home, consumers) in consumers {
            for consumer in consumers {
                match read_consumer(&consumer) {
                    None => {}
                    Some(Ok(reaction)) => {
                        standings.add(&reaction, Standing::of(&consumer));
                        declared.push(reaction);
                    }
                    Some(Err(reason)) => {
                        problems
                            .push(format!("consumer {} of stream {}: {reason}", consumer.name, home.stream));
                    }
                }
            }
        }
        Ok(Self { homes, reactions: declared.into_iter().collect(), problems, standings, clock })
    }

    /// The broker's present time: what it said when it was asked, and what has passed here since then. Nothing where it
    /// did not say.
    pub fn now(&self) -> Option<OffsetDateTime> {
        self.clock.map(BrokerClock::now)
    }
}

/// What a consumer declares; nothing when it is not a service's.
pub(crate) fn read_consumer(info: &ConsumerInfo) -> Option<Result<Declared, String>> {
    let said = &info.config.metadata;
    let service = said.get(metadata::SERVICE)?.clone();
    let need = |key: &str| said.get(key).ok_or_else(|| format!("its metadata lacks `{key}`"));
    let types = |key: &str| {
        let names = said.get(key).map_or("", String::as_str).split_ascii_whitespace();
        names.map(|name| event_type(key, name)).collect::<Result<Vec<_>, _>>()
    };
    let deadline = || -> Result<_, String> {
        let Some(within) = said.get(metadata::WITHIN_MS) else { return Ok(None) };
        let within = within.parse().map_err(|e| format!("its metadata `{}`: {e}", metadata::WITHIN_MS))?;
        Ok(Some(Deadline { unless: types(metadata::UNLESS)?, within: Duration::from_millis(within) }))
    };
    let read = || {
        Ok(Declared {
            service,
            handler: need(metadata::HANDLER)?.clone(),
            on: event_type(metadata::EVENT, need(metadata::EVENT)?)?,
            compensates: types(metadata::COMPENSATES)?,
            emits: types(metadata::EMITS)?,
            since: since(info),
            deadline: deadline()?,
            at_least_once: said.contains_key(metadata::AT_LEAST_ONCE),
        })
    };
    Some(read())
}

fn event_type(key: &str, name: &str) -> Result<EventType, String> {
    name.parse().map_err(|e| format!("its metadata `{key}`: {e}"))
}

fn since(info: &ConsumerInfo) -> Since {
    match info.config.deliver_policy.as_str() {
        "" | "all" => Since::Ever,
        "by_start_sequence" => Since::Sequence(info.config.opt_start_seq),
        "by_start_time" => Since::Time(info.config.opt_start_time.unwrap_or(info.created)),
        // `new`, `last`, `last_per_subject`: what was there before is not delivered, or not for certain.
        _ => Since::Time(info.created),
    }
}
