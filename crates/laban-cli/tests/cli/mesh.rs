//! Contract files, and a broker where they are registered.

use std::path::{Path, PathBuf};

use async_nats::jetstream;
use laban_testkit::{Broker, streams};

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
    js.create_stream(streams::contracts()).await?;
    let contracts: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    for contract in contracts {
        let key = contract["service"].as_str().unwrap();
        js.publish(format!("$KV.laban_contracts.{key}"), contract.to_string().into()).await?.await?;
        js.create_stream(streams::home(key)).await?;
    }
    Ok(broker)
}
