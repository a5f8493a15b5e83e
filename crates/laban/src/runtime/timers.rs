//! The timer stream: where the deadlines of a service wait.
//!
//! A stream of its own, because one that takes schedules cannot refuse rollups, which a home stream must.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config as StreamConfig, DiscardPolicy, RetentionPolicy};
use laban_wire::metadata::{TIMERS, WIRE, WIRE_VERSION};
use laban_wire::{ServiceName, Timer};

use super::home::{self, Drift};
use super::patience::Trouble;
use crate::Error;
use crate::config::Config;
use crate::definition::Definition;

fn wanted(service: &ServiceName, config: &Config) -> StreamConfig {
    StreamConfig {
        name: Timer::stream_of(service),
        subjects: Timer::subjects_of(service).into(),
        description: Some(format!("deadlines of service {service}")),
        // What is settled is gone.
        retention: RetentionPolicy::WorkQueue,
        // The only one for a stream with schedules. Without a limit nothing is ever discarded.
        discard: DiscardPolicy::Old,
        storage: config.storage,
        num_replicas: config.replicas,
        placement: config.placement.clone(),
        allow_message_schedules: true,
        metadata: HashMap::from([
            (TIMERS.to_owned(), service.to_string()),
            (WIRE.to_owned(), WIRE_VERSION.to_owned()),
        ]),
        ..StreamConfig::default()
    }
}

/// Finds or makes the timer stream, and refuses one that could lose a timer. Services without a deadline have none.
pub(crate) async fn ensure(
    service: &ServiceName,
    definitions: &[Definition],
    context: &Context,
    config: &Config,
) -> Result<(), Trouble> {
    let mut any = false;
    for definition in definitions {
        let Some(deadline) = &definition.deadline else { continue };
        any = true;
        if !config.retention.is_zero() && deadline.within >= config.retention {
            return Err(Trouble::Lasting(Error::Contract {
                service: service.to_string(),
                reason: format!(
                    "handler `{}` has a deadline after {:?}, and streams keep their records for {:?}: its input would be \
                     gone by then; raise LABAN_RETENTION_DAYS, here and where the input comes from",
                    definition.name, deadline.within, config.retention
                ),
            }));
        }
    }
    if any {
        home::find_or_make(service, context, "timer", &wanted(service, config), drift).await?;
    }
    Ok(())
}

fn drift(found: &StreamConfig, wanted: &StreamConfig) -> Vec<String> {
    let mut drift = Drift::of(found, wanted, TIMERS, "timer stream");
    drift.must(found.allow_message_schedules, "it does not schedule messages".to_owned());
    drift.must(found.retention == RetentionPolicy::WorkQueue, "its retention is not `workqueue`".to_owned());
    // Any of these would lose deadlines without a word.
    drift.must(found.max_age == Duration::ZERO, "it forgets timers when they are old".to_owned());
    drift.must(found.max_messages <= 0, "it limits the number of timers".to_owned());
    drift.must(found.max_bytes <= 0, "it limits the bytes of timers".to_owned());
    drift.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> StreamConfig {
        let config = Config::from_lookup(|_| None).unwrap();
        wanted(&"order".parse().unwrap(), &config)
    }

    #[test]
    fn what_could_lose_a_timer_is_named() {
        assert_eq!(drift(&config(), &config()), Vec::<String>::new());
        let day = Duration::from_secs(86_400);
        let cases: [(StreamConfig, &str); 6] = [
            (StreamConfig { allow_message_schedules: false, ..config() }, "schedule"),
            (StreamConfig { retention: RetentionPolicy::Limits, ..config() }, "workqueue"),
            (StreamConfig { max_age: day, ..config() }, "old"),
            (StreamConfig { max_messages: 1000, ..config() }, "number"),
            (StreamConfig { max_bytes: 1000, ..config() }, "bytes"),
            (
                StreamConfig { metadata: HashMap::from([(TIMERS.into(), "till".into())]), ..config() },
                "timer stream of service till",
            ),
        ];
        for (found, named) in cases {
            let drift = drift(&found, &config()).join("; ");
            assert!(drift.contains(named), "{named}: {drift}");
        }
    }
}
