//! Contract files, and a broker where they are registered.

use std::path::{Path, PathBuf};

use async_nats::jetstream::{self, stream};
use laban_testkit::Broker;
use laban_wire::metadata;

use crate::Outcome;

/// A contract file of the reading side's tests.
pub(crate) fn fixture(name: &str) -> String {
    let file: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../laban-flow/tests/fixtures").join(name);
    file.to_str().unwrap().to_owned()
}

/// A broker with the contracts of a file in the bucket of contracts.
pub(crate) async fn registered(file: &str) -> Outcome<Broker> {
    let broker = Broker::start().await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    js.create_stream(stream::Config {
        name: "KV_laban_contracts".to_owned(),
        subjects: vec!["$KV.laban_contracts.>".to_owned()],
        max_messages_per_subject: 8,
        allow_rollup: true,
        allow_direct: true,
        ..Default::default()
    })
    .await?;
    let contracts: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    for contract in contracts {
        let key = contract["service"].as_str().unwrap();
        js.publish(format!("$KV.laban_contracts.{key}"), contract.to_string().into()).await?.await?;
        home(&js, key).await?;
    }
    Ok(broker)
}

/// The home stream of a service.
pub(crate) async fn home(js: &jetstream::Context, service: &str) -> Outcome {
    let said = [(metadata::SERVICE, service), (metadata::WIRE, metadata::WIRE_VERSION)];
    js.create_stream(stream::Config {
        name: service.to_uppercase(),
        subjects: vec![format!("{service}.*.*")],
        allow_direct: true,
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    })
    .await?;
    Ok(())
}
