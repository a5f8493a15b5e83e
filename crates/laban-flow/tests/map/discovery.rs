use std::collections::HashMap;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, consumer};
use laban_flow::Map;
use laban_flow::check::{Kind, sample};
use laban_flow::map::{Known, read_contracts};
use laban_testkit::{Broker, streams};
use laban_wire::{EventId, FlowReader, HEADER, Meta, TRACEPARENT, metadata};

use crate::{Outcome, SHOP, map, shop};

/// A broker with what services would have put there.
pub(crate) struct Mesh {
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    /// Last: the client goes first.
    _broker: Broker,
}

impl Mesh {
    pub(crate) async fn start() -> Outcome<Self> {
        let broker = Broker::start().await?;
        let client = async_nats::connect(broker.url()).await?;
        Ok(Self { js: jetstream::new(client.clone()), client, _broker: broker })
    }

    pub(crate) fn reader(&self) -> FlowReader {
        FlowReader::from(&self.client)
    }

    pub(crate) async fn home(&self, service: &str) -> Outcome {
        self.js.create_stream(streams::home(service)).await?;
        Ok(())
    }

    /// The bucket that services register their contracts in.
    async fn bucket(&self) -> Outcome {
        self.js.create_stream(streams::contracts()).await?;
        Ok(())
    }

    async fn register(&self, service: &str, contract: &str) -> Outcome {
        self.js.publish(format!("$KV.laban_contracts.{service}"), contract.to_owned().into()).await?.await?;
        Ok(())
    }

    /// A consumer as a handler has it.
    pub(crate) async fn reacts(&self, service: &str, handler: &str, event: &str, emits: &str) -> Outcome {
        let said = [
            (metadata::SERVICE, service),
            (metadata::HANDLER, handler),
            (metadata::EVENT, event),
            (metadata::EMITS, emits),
        ];
        let (of, name) = event.split_once('.').unwrap();
        let config = consumer::pull::Config {
            durable_name: Some(format!("{service}_{handler}_{of}_{name}")),
            filter_subject: format!("{event}.*"),
            metadata: said.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<HashMap<_, _>>(),
            ..Default::default()
        };
        self.js.create_consumer_on_stream(config, of.to_uppercase()).await?;
        Ok(())
    }

    pub(crate) async fn write(&self, subject: &str, headers: &[(&str, String)], body: &str) -> Outcome {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, value.as_str()));
        self.js.publish_with_headers(subject.to_owned(), map, body.to_owned().into()).await?.await?;
        Ok(())
    }
}

#[tokio::test]
async fn the_map_is_that_of_the_newest_contracts() -> Outcome {
    let mesh = Mesh::start().await?;
    mesh.bucket().await?;
    for member in read_contracts(SHOP, "the shop")? {
        let contract = serde_json::to_string(&member.contract)?;
        let older = contract.replacen("\"handlers\":[", "\"handlers\":[],\"was\":[", 1);
        mesh.register(member.name(), &older).await?;
        mesh.register(member.name(), &contract).await?;
    }
    let found = Map::discover(&mesh.client, &mesh.reader()).await?;
    assert_eq!(found.events, shop().events);
    assert!(found.services.iter().all(|member| member.known == Known::Contract));
    assert_eq!(found.problems, [""; 0]);
    let mut gone = HeaderMap::new();
    gone.insert("KV-Operation", "DEL");
    mesh.js.publish_with_headers("$KV.laban_contracts.shipping", gone, "".into()).await?.await?;
    assert!(Map::discover(&mesh.client, &mesh.reader()).await?.service("shipping").is_none());
    Ok(())
}

#[tokio::test]
async fn who_has_no_contract_is_known_by_its_consumers() -> Outcome {
    let mesh = Mesh::start().await?;
    for service in ["order", "payment", "inventory"] {
        mesh.home(service).await?;
    }
    mesh.reacts("payment", "charge", "order.placed", "payment.captured").await?;
    mesh.reacts("shipping", "dispatch", "payment.captured", "shipping.dispatched").await?;
    mesh.reacts("shipping", "dispatch", "inventory.reserved", "shipping.dispatched").await?;
    let found = Map::discover(&mesh.client, &mesh.reader()).await?;
    let names: Vec<_> = found.services.iter().map(|member| (member.name(), member.known)).collect();
    let known = Known::Consumers;
    assert_eq!(names, [("inventory", known), ("order", known), ("payment", known), ("shipping", known)]);
    let dispatch = &found.service("shipping").unwrap().contract.handlers[0];
    assert_eq!(dispatch.consumes.len(), 2);
    // Where these begin flows, nobody knows: that nobody emits `order.placed` is no finding.
    let kinds: Vec<_> = laban_flow::check::check(&found, &[]).into_iter().map(|f| f.kind).collect();
    assert!(!kinds.contains(&Kind::UntriggeredReaction), "{kinds:?}");
    Ok(())
}

#[tokio::test]
async fn a_contract_that_cannot_be_read_is_a_problem_with_a_name() -> Outcome {
    let mesh = Mesh::start().await?;
    mesh.bucket().await?;
    mesh.register("order", "{").await?;
    mesh.register("payment", r#"{"service":"bank","handlers":[],"events":[]}"#).await?;
    let evil = r#"{"service":"mail","handlers":[{"name":"a\u001b[2J","consumes":[]}],"events":[]}"#;
    mesh.register("mail", evil).await?;
    let found = Map::discover(&mesh.client, &mesh.reader()).await?;
    assert!(found.services.is_empty());
    let wrong = [
        "the contract registered as mail: not a contract, nor an array of contracts: \"a\\u{1b}[2J\" is not",
        "the contract registered as order: not a contract",
        "the contract registered as payment is not that of service payment",
    ];
    for (problem, wrong) in found.problems.iter().zip(wrong) {
        assert!(problem.starts_with(wrong), "{problem}");
    }
    assert_eq!(found.problems.len(), wrong.len());
    Ok(())
}

#[tokio::test]
async fn messages_that_say_neither_version_nor_trace_are_found_among_the_newest() -> Outcome {
    let mesh = Mesh::start().await?;
    mesh.home("order").await?;
    let meta = || (HEADER, Meta::root(EventId::root(), 1).to_string());
    let trace = || (TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    mesh.write("order.placed.1", &[], "{}").await?;
    mesh.write("order.placed.2", &[meta(), trace()], "{}").await?;
    let newest = sample(&mesh.client, &mesh.reader(), 1).await?;
    assert_eq!(newest, [], "the first is too old");
    mesh.write("order.placed.3", &[meta()], "{}").await?;
    mesh.write("order.cancelled.3", &[trace()], "{}").await?;
    let found = sample(&mesh.client, &mesh.reader(), 3).await?;
    let names: Vec<_> = found.iter().map(|finding| (finding.kind, finding.subject.as_str())).collect();
    assert_eq!(names, [(Kind::UnversionedEvent, "order.cancelled"), (Kind::UntracedMessage, "order")]);
    assert_eq!(found[1].details, ["1 of the 2 newest of order.placed, the last of them at 3"]);
    Ok(())
}

#[test]
fn two_contracts_of_one_service_are_refused() {
    let twice =
        read_contracts(SHOP, "a.json").unwrap().into_iter().chain(read_contracts(SHOP, "b.json").unwrap());
    let error = Map::join(twice).unwrap_err().to_string();
    assert!(error.starts_with("service order has two contracts, a.json and b.json"), "{error}");
}

#[test]
fn the_map_reads_back_what_it_writes() {
    let json = serde_json::to_string(&shop()).unwrap();
    assert_eq!(serde_json::from_str::<Map>(&json).unwrap(), shop());
    assert_eq!(map(SHOP), shop());
}
