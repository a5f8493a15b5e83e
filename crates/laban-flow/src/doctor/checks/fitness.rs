//! Settings of streams and consumers that could lose something. A service looks at its streams when it starts; what was
//! changed later nobody notices.

use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use laban_wire::metadata::{WIRE, WIRE_VERSION};

use super::super::seen::{Role, Seen, Watched};
use super::super::{Finding, Kind, Severity};
use super::age;

pub(super) fn check(seen: &Seen, found: &mut Vec<Finding>) {
    for stream in &seen.streams {
        let config = &stream.info.config;
        let faults = match &stream.role {
            Role::Home(service) => home(config, service),
            Role::Timers(service) => timers(config, service),
            Role::Contracts | Role::Foreign => continue,
        };
        if faults.is_empty() {
            continue;
        }
        let what = match &stream.role {
            Role::Timers(_) => {
                "the timer stream is not as it must be: deadlines may be lost, and its service would not start"
            }
            _ => {
                "the home stream is not as it must be: records may be lost and things done twice, and its service would not start"
            }
        };
        let fix = format!(
            "`nats stream edit {}`, until it is as docs/wire.md has it; what cannot be changed back needs a new stream and a \
             restore",
            stream.name()
        );
        found.push(Finding::new(Severity::Error, Kind::UnfitStream, stream.name(), what, fix).with(faults));
    }
    for consumer in seen.consumers.iter().filter(|consumer| consumer.service().is_some()) {
        let faults = position(consumer);
        if faults.is_empty() {
            continue;
        }
        found.push(
            Finding::new(
                Severity::Error,
                Kind::UnfitConsumer,
                consumer.subject(),
                "the consumer is not as it must be: events may be given up without a record, or not come at all",
                format!(
                    "`nats consumer edit {} {}`, until it is as docs/wire.md has it",
                    consumer.first.stream_name, consumer.first.name
                ),
            )
            .with(faults),
        );
    }
}

/// Collects what does not hold.
struct Faults(Vec<String>);

impl Faults {
    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.0.push(what.to_owned());
        }
    }

    /// What any stream of a service must be.
    fn of(config: &Config, subjects: &[String]) -> Self {
        let mut faults = Self(Vec::new());
        faults.must(
            config.subjects == subjects,
            &format!("it takes subjects {}, not {}", config.subjects.join(", "), subjects.join(", ")),
        );
        faults.must(config.max_messages_per_subject <= 0, "it limits the messages per subject");
        faults.must(!config.allow_message_ttl, "it allows messages to expire one by one");
        faults.must(!config.sealed, "it is sealed");
        faults.must(!config.no_ack, "it does not acknowledge");
        faults.must(config.subject_transform.is_none(), "it changes subjects");
        let foreign = config.mirror.is_some() || config.sources.as_ref().is_some_and(|all| !all.is_empty());
        faults.must(!foreign, "others' messages are copied into it");
        let wire = config.metadata.get(WIRE).map_or("none", String::as_str);
        faults.must(wire == WIRE_VERSION, &format!("its wire format is {wire}, not {WIRE_VERSION}"));
        faults
    }
}

fn home(config: &Config, service: &str) -> Vec<String> {
    let mut faults = Faults::of(config, &[format!("{service}.*.*")]);
    faults.must(config.retention == RetentionPolicy::Limits, "its retention is not `limits`");
    let limits = [config.max_messages > 0, config.max_bytes > 0];
    let evicts = match limits.contains(&true) {
        true => "it discards old records when it is full, and it has a limit: records of live flows go",
        false => "it discards old records when it is full, not new ones",
    };
    faults.must(config.discard == DiscardPolicy::New, evicts);
    faults.must(config.allow_direct, "direct get is not allowed");
    faults.must(config.allow_atomic_publish, "atomic batches are not allowed");
    faults.must(!config.allow_rollup, "it allows rollups: one message can erase the records before it");
    faults.0
}

fn timers(config: &Config, service: &str) -> Vec<String> {
    let subjects = service.parse().map(|service| laban_wire::Timer::subjects_of(&service).to_vec());
    let mut faults = Faults::of(config, &subjects.unwrap_or_default());
    faults.must(config.allow_message_schedules, "it does not schedule messages");
    faults.must(config.retention == RetentionPolicy::WorkQueue, "its retention is not `workqueue`");
    faults.must(config.max_age.is_zero(), &format!("it forgets timers after {}", age(config.max_age)));
    faults.must(config.max_messages <= 0, "it limits the number of timers");
    faults.must(config.max_bytes <= 0, "it limits the bytes of timers");
    faults.0
}

fn position(consumer: &Watched) -> Vec<String> {
    let config = &consumer.first.config;
    let mut faults = Faults(Vec::new());
    faults.must(config.ack_policy == AckPolicy::Explicit, "its acknowledgement is not explicit");
    faults.must(
        config.max_deliver <= 0,
        &format!("it gives an event up after {} deliveries, without a dead letter", config.max_deliver),
    );
    faults.must(
        config.inactive_threshold.is_zero(),
        &format!("it is deleted when nobody asks for {}", age(config.inactive_threshold)),
    );
    faults.must(config.deliver_subject.is_none(), "it pushes: instances pull");
    faults.must(!config.headers_only, "it delivers no bodies");
    faults.must(!consumer.last().paused, "it is paused: its handler gets no events");
    if let Some((_, event)) = consumer.reaction() {
        let filter = format!("{event}.*");
        faults.must(
            config.filter_subject == filter && config.filter_subjects.is_empty(),
            &format!("it takes {}, not {filter}", filters(config)),
        );
    }
    faults.0
}

fn filters(config: &async_nats::jetstream::consumer::Config) -> String {
    match (config.filter_subject.as_str(), config.filter_subjects.as_slice()) {
        ("", []) => "everything".to_owned(),
        ("", many) => many.join(", "),
        (one, _) => one.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn good() -> Config {
        Config {
            subjects: vec!["order.*.*".to_owned()],
            discard: DiscardPolicy::New,
            allow_direct: true,
            allow_atomic_publish: true,
            metadata: [(WIRE.to_owned(), WIRE_VERSION.to_owned())].into(),
            ..Config::default()
        }
    }

    #[test]
    fn every_shortcoming_of_a_home_stream_is_named() {
        assert_eq!(home(&good(), "order"), Vec::<String>::new());
        assert_eq!(
            home(&Config { max_age: Duration::from_secs(1), max_bytes: 1, ..good() }, "order").len(),
            0
        );
        for (config, named) in [
            (Config { discard: DiscardPolicy::Old, ..good() }, "not new ones"),
            (Config { discard: DiscardPolicy::Old, max_messages: 9, ..good() }, "it has a limit"),
            (Config { max_messages_per_subject: 1, ..good() }, "per subject"),
            (Config { allow_rollup: true, ..good() }, "rollups"),
            (Config { allow_message_ttl: true, ..good() }, "one by one"),
            (Config { retention: RetentionPolicy::Interest, ..good() }, "`limits`"),
            (Config { allow_direct: false, ..good() }, "direct get"),
            (Config { allow_atomic_publish: false, ..good() }, "atomic"),
            (Config { sealed: true, ..good() }, "sealed"),
            (Config { no_ack: true, ..good() }, "acknowledge"),
            (Config { subjects: vec!["order.>".to_owned()], ..good() }, "order.>"),
            (Config { metadata: [(WIRE.to_owned(), "2".to_owned())].into(), ..good() }, "wire format is 2"),
        ] {
            let faults = home(&config, "order");
            assert!(faults.len() == 1 && faults[0].contains(named), "{named}: {faults:?}");
        }
    }

    #[test]
    fn every_shortcoming_of_a_timer_stream_is_named() {
        let good = Config {
            subjects: laban_wire::Timer::subjects_of(&"order".parse().unwrap()).to_vec(),
            retention: RetentionPolicy::WorkQueue,
            allow_message_schedules: true,
            ..good()
        };
        assert_eq!(timers(&good, "order"), Vec::<String>::new());
        for (config, named) in [
            (Config { allow_message_schedules: false, ..good.clone() }, "schedule"),
            (Config { retention: RetentionPolicy::Limits, ..good.clone() }, "workqueue"),
            (Config { max_age: Duration::from_secs(90), ..good.clone() }, "after 1.5 min"),
            (Config { max_messages: 1, ..good.clone() }, "number"),
            (Config { max_bytes: 1, ..good.clone() }, "bytes"),
        ] {
            let faults = timers(&config, "order");
            assert!(faults.len() == 1 && faults[0].contains(named), "{named}: {faults:?}");
        }
    }
}
