//! Durable consumers: each handler's position at each event type.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use laban_wire::metadata::{
    AGAIN, AT_LEAST_ONCE, CANCELS, COMPENSATES, DUE, EMITS, EVENT, HANDLER, REDRIVES, SERVICE, UNLESS,
    WITHIN_MS,
};
use laban_wire::{EventType, REDRIVE, ServiceName, Timer, error_chain, home_stream};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::config::Config;
use crate::definition::{Definition, Start};

/// How many deliveries may wait for an acknowledgement, over all instances. Those that wait for a retry count too, so it
/// is far above what instances work on at a time.
const MAX_ACK_PENDING: i64 = 20_000;

/// The durable consumer of one handler at one event type.
pub(crate) struct Position {
    /// The stream it is on.
    pub(crate) stream: Arc<str>,
    config: pull::Config,
}

/// What all positions have in common.
fn durable(
    name: String,
    filter_subject: String,
    metadata: HashMap<String, String>,
    config: &Config,
) -> pull::Config {
    pull::Config {
        durable_name: Some(name),
        filter_subject,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait,
        max_ack_pending: MAX_ACK_PENDING,
        // Attempts are counted in records; the broker is to deliver for as long as it takes.
        max_deliver: -1,
        metadata,
        ..pull::Config::default()
    }
}

fn beginning(definition: &Definition) -> DeliverPolicy {
    match definition.start {
        Start::Oldest => DeliverPolicy::All,
        Start::Now => DeliverPolicy::New,
    }
}

/// The home stream of the service that an event is named after.
pub(crate) fn home_of(event: &EventType) -> Arc<str> {
    // An event's name is that of a service, checked when it was made.
    event.service().parse().map_or_else(|_| "".into(), |owner| home_stream(&owner).into())
}

impl Position {
    pub(crate) fn of(
        service: &ServiceName,
        definition: &Definition,
        event: &EventType,
        config: &Config,
    ) -> Self {
        let join = |events: &mut dyn Iterator<Item = String>| events.collect::<Vec<_>>().join(" ");
        let emits = crate::contract::names(definition.all_emits());
        let mut metadata = HashMap::from([
            (SERVICE.to_owned(), service.to_string()),
            (HANDLER.to_owned(), definition.name.to_string()),
            (EVENT.to_owned(), event.to_string()),
        ]);
        if !emits.is_empty() {
            metadata.insert(EMITS.to_owned(), join(&mut emits.iter().map(EventType::to_string)));
        }
        if !definition.compensates.is_empty() {
            let undone = join(&mut definition.compensates.iter().map(EventType::to_string));
            metadata.insert(COMPENSATES.to_owned(), undone);
        }
        if !definition.fenced {
            metadata.insert(AT_LEAST_ONCE.to_owned(), "true".to_owned());
        }
        if let Some(deadline) = &definition.deadline {
            let unless = join(&mut deadline.unless.iter().map(EventType::to_string));
            metadata.insert(UNLESS.to_owned(), unless);
            metadata.insert(WITHIN_MS.to_owned(), deadline.within_ms().to_string());
        }
        // Service and event names have no `_`, handlers no `-` or `.`: the parts cannot run into each other.
        let name = format!("{service}_{}_{}", definition.name, event.as_str().replace('.', "_"));
        Self {
            stream: home_of(event),
            config: pull::Config {
                description: Some(format!("{service}: {} reacts to {event}", definition.name)),
                deliver_policy: beginning(definition),
                ..durable(name, format!("{event}.*"), metadata, config)
            },
        }
    }

    /// The position of a handler's deadline at an event that it waits for.
    pub(crate) fn of_awaited(
        service: &ServiceName,
        definition: &Definition,
        event: &EventType,
        config: &Config,
    ) -> Self {
        let handler = &definition.name;
        // No handler's name has a `-`, so this is no position of one.
        let name = format!("{service}_{handler}-unless_{}", event.as_str().replace('.', "_"));
        let metadata = HashMap::from([(CANCELS.to_owned(), format!("{service}/{handler}"))]);
        Self {
            stream: home_of(event),
            config: pull::Config {
                description: Some(format!("{service}: {event} is what the deadline of {handler} waits for")),
                deliver_policy: beginning(definition),
                ..durable(name, format!("{event}.*"), metadata, config)
            },
        }
    }

    /// The service's position at its timers that are due.
    pub(crate) fn of_due(service: &ServiceName, config: &Config) -> Self {
        let metadata = HashMap::from([(DUE.to_owned(), service.to_string())]);
        Self {
            stream: Timer::stream_of(service).into(),
            config: pull::Config {
                description: Some(format!("{service}: deadlines that have passed")),
                ..durable(format!("{service}__due"), Timer::all_due(service), metadata, config)
            },
        }
    }

    /// The service's position at the redrives in its own home stream.
    pub(crate) fn of_redrives(service: &ServiceName, config: &Config) -> Self {
        let event = EventType::system(service, REDRIVE);
        let metadata = [(REDRIVES, service.as_str()), (AGAIN, "true")];
        let metadata = HashMap::from(metadata.map(|(key, value)| (key.to_owned(), value.to_owned())));
        Self {
            stream: home_stream(service).into(),
            config: pull::Config {
                description: Some(format!("{service}: dead letters handed back to their handlers")),
                // An empty handler's name, which no handler can have.
                ..durable(format!("{service}__redrive"), format!("{event}.*"), metadata, config)
            },
        }
    }

    /// The subjects it takes.
    pub(crate) fn filter(&self) -> &str {
        &self.config.filter_subject
    }

    /// The consumer's durable name: `<service>_<handler>_<service of the event>_<event>`.
    pub(crate) fn name(&self) -> &str {
        self.config.durable_name.as_deref().unwrap_or_default()
    }

    /// Finds or makes the consumer, waiting for a stream whose service has not started yet. `None` when stopped meanwhile.
    pub(crate) async fn attach(
        &self,
        link: &Link,
        stop: &CancellationToken,
    ) -> Option<Consumer<pull::Config>> {
        let mut pause = Duration::from_millis(50);
        let mut told = None;
        while !stop.is_cancelled() {
            let context = link.context();
            let made = tokio::select! {
                made = self.find_or_make(&context) => made,
                () = stop.cancelled() => return None,
            };
            match made {
                Ok(consumer) => return Some(consumer),
                Err(reason) => {
                    if told.as_ref() != Some(&reason) {
                        tracing::info!(consumer = self.name(), stream = %self.stream, %reason, "waiting for the stream");
                        told = Some(reason);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(1)),
                () = stop.cancelled() => {}
            }
        }
        None
    }

    async fn find_or_make(&self, context: &Context) -> Result<Consumer<pull::Config>, String> {
        let stream = context.get_stream(&*self.stream).await.map_err(|error| error_chain(&error))?;
        let mut config = self.config.clone();
        if let Ok(found) = stream.get_consumer::<pull::Config>(self.name()).await {
            let found_config = &found.cached_info().config;
            if found_config.ack_wait == config.ack_wait
                && found_config.max_ack_pending == config.max_ack_pending
                && self.metadata_matches(&found_config.metadata)
            {
                return Ok(found);
            }
            // Where it began cannot be changed, and no longer matters.
            config.deliver_policy = found_config.deliver_policy;
        }
        stream.create_consumer(config).await.map_err(|error| error_chain(&error))
    }

    /// The broker adds metadata of its own.
    fn metadata_matches(&self, found: &HashMap<String, String>) -> bool {
        let ours = |(key, _): &(&String, &String)| key.starts_with("laban.");
        self.config.metadata.iter().all(|(key, value)| found.get(key) == Some(value))
            && found.iter().filter(ours).count() == self.config.metadata.len()
    }
}
