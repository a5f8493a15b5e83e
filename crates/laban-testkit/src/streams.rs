//! Streams as services make them, for tests of what reads them with no service there.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use laban_wire::{contract, metadata};

/// As long as services keep their records unless told: one that is started later takes such a stream for its own.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// The home stream of a service with the default settings, as `docs/wire.md` has it.
///
/// ```
/// let home = laban_testkit::streams::home("payment");
/// assert_eq!((home.name.as_str(), home.subjects[0].as_str()), ("PAYMENT", "payment.*.*"));
/// ```
pub fn home(service: &str) -> Config {
    let said = [(metadata::SERVICE, service), (metadata::WIRE, metadata::WIRE_VERSION)];
    Config {
        name: service.to_uppercase(),
        subjects: vec![format!("{service}.*.*")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_age: RETENTION,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Config::default()
    }
}

/// The bucket in which services register their contracts. The contract of `payment` is at `$KV.laban_contracts.payment`.
///
/// ```
/// let bucket = laban_testkit::streams::contracts();
/// assert_eq!((bucket.name.as_str(), bucket.subjects[0].as_str()), ("KV_laban_contracts", "$KV.laban_contracts.>"));
/// ```
pub fn contracts() -> Config {
    Config {
        name: contract::STREAM.to_owned(),
        subjects: vec![format!("$KV.{}.>", contract::BUCKET)],
        max_messages_per_subject: 8,
        allow_rollup: true,
        allow_direct: true,
        ..Config::default()
    }
}
