//! A mesh of two services: `order` begins flows, `payment` charges for them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use laban_flow::doctor::{Examination, Monitored, Options, Refusals, examine};
use laban_testkit::Broker;
use laban_wire::metadata::{EVENT, HANDLER, REDRIVES, SERVICE, WIRE, WIRE_VERSION};
use laban_wire::{EventId, FlowReader, HEADER, InstanceData, Meta, contract_fingerprint};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::task::JoinSet;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Long enough for two looks.
pub(crate) const BRIEFLY: Options =
    Options { watch_for: Duration::from_secs(1), overdue: Duration::from_secs(300), most: 10_000 };

/// A mesh, and those who play its instances.
pub(crate) struct Rig {
    pub(crate) url: String,
    pub(crate) client: async_nats::Client,
    pub(crate) js: jetstream::Context,
    instances: JoinSet<()>,
    /// Last: its clients go first. Nothing for a broker that is somebody else's.
    _broker: Option<Broker>,
}

impl Rig {
    /// A broker with nothing on it.
    pub(crate) async fn bare(broker: Broker) -> Outcome<Self> {
        let rig = Self::at(&broker.url()).await?;
        Ok(Self { _broker: Some(broker), ..rig })
    }

    /// Somebody else's broker.
    pub(crate) async fn at(url: &str) -> Outcome<Self> {
        let client = async_nats::connect(url.split(',').collect::<Vec<_>>()).await?;
        let js = jetstream::new(client.clone());
        Ok(Self { url: url.to_owned(), js, client, instances: JoinSet::new(), _broker: None })
    }

    /// Both services, with all that they have, and an instance of each.
    pub(crate) async fn healthy() -> Outcome<Self> {
        Self::bare(Broker::start().await?).await?.furnished(1).await
    }

    /// The same on what is there.
    pub(crate) async fn furnished(mut self, replicas: usize) -> Outcome<Self> {
        self.services(replicas).await?;
        self.instance("order", order(), &[], |_| {}).await?;
        self.payment(|_| {}).await?;
        Ok(self)
    }

    /// All but the instances.
    pub(crate) async fn services(&self, replicas: usize) -> Outcome {
        self.js.create_stream(bucket(replicas)).await?;
        for (service, contract) in [("order", order()), ("payment", payment())] {
            self.js.create_stream(stream::Config { num_replicas: replicas, ..home(service) }).await?;
            self.register(service, &contract).await?;
        }
        self.consumer("ORDER", charge()).await?;
        self.consumer("PAYMENT", redrives("payment")).await
    }

    pub(crate) async fn register(&self, service: &str, contract: &Value) -> Outcome {
        let key = format!("$KV.laban_contracts.{service}");
        self.js.publish(key, contract.to_string().into()).await?.await?;
        Ok(())
    }

    pub(crate) async fn consumer(&self, stream: &str, config: consumer::pull::Config) -> Outcome {
        self.js.get_stream(stream).await?.create_consumer(config).await?;
        Ok(())
    }

    /// An instance of `payment`, as it should be but for what is changed.
    pub(crate) async fn payment(&mut self, change: impl Fn(&mut InstanceData) + Send + 'static) -> Outcome {
        self.instance("payment", payment(), &["payment_charge_order_placed"], change).await
    }

    /// Answers who asks who is there, with a plain client, as a service in any language may.
    pub(crate) async fn instance(
        &mut self,
        service: &str,
        contract: Value,
        consumers: &[&str],
        change: impl Fn(&mut InstanceData) + Send + 'static,
    ) -> Outcome {
        let client = async_nats::connect(self.url.split(',').collect::<Vec<_>>()).await?;
        let mut asked = client.subscribe("$SRV.STATS").await?;
        client.flush().await?;
        let endpoints: Vec<_> = consumers.iter().map(|name| json!({"queue_group": name})).collect();
        let (service, id) = (service.to_owned(), format!("{service}{}", self.instances.len()));
        self.instances.spawn(async move {
            while let Some(question) = asked.next().await {
                let mut data = InstanceData {
                    now: Some(OffsetDateTime::now_utc()),
                    contract: Some(contract_fingerprint(&contract)),
                    ..InstanceData::default()
                };
                change(&mut data);
                let answer = json!({
                    "type": "io.nats.micro.v1.stats_response", "name": service, "id": id, "version": "1.0.0",
                    "metadata": {SERVICE: service, WIRE: WIRE_VERSION}, "endpoints": endpoints, "data": data,
                });
                if let Some(reply) = question.reply {
                    client.publish(reply, answer.to_string().into()).await.unwrap();
                }
            }
        });
        Ok(())
    }

    /// A flow begins.
    pub(crate) async fn place(&self, flow: &str) -> Outcome {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert(HEADER, Meta::root(EventId::root(), 1).to_header());
        let subject = format!("order.placed.{flow}");
        self.js.publish_with_headers(subject, headers, "{}".into()).await?.await?;
        Ok(())
    }

    pub(crate) async fn examine(&self) -> Examination {
        self.examine_with(BRIEFLY).await
    }

    pub(crate) async fn examine_with(&self, options: Options) -> Examination {
        examine_at(&self.url, Vec::new(), options).await
    }

    /// Streams and consumers, with all that they have.
    pub(crate) async fn all_there_is(&self) -> Outcome<Vec<String>> {
        let mut all = Vec::new();
        let streams: Vec<stream::Info> = self.js.streams().try_collect().await?;
        for info in streams {
            let said: BTreeMap<_, _> = info.config.metadata.iter().collect();
            all.push(format!("{} {said:?} {:?}", info.config.name, info.state));
            let consumers = self.js.get_stream(&info.config.name).await?.consumers().try_collect::<Vec<_>>();
            all.extend(consumers.await?.iter().map(|info| format!("{} {:?}", info.name, info.delivered)));
        }
        all.sort();
        Ok(all)
    }
}

/// Examines with connections of its own.
pub(crate) async fn examine_at(url: &str, monitored: Vec<Monitored>, options: Options) -> Examination {
    let refusals = Refusals::default();
    let connect = async || {
        let heard = refusals.clone();
        let noting = async_nats::ConnectOptions::new().event_callback(move |event| {
            heard.note(&event);
            async {}
        });
        // The client takes no user from an address.
        let noting = match url.split_once("d:d@") {
            Some(_) => noting.user_and_password("d".to_owned(), "d".to_owned()),
            None => noting,
        };
        noting.connect(url.split(',').collect::<Vec<_>>()).await.unwrap()
    };
    let client = connect().await;
    let reader = FlowReader::new(client.clone()).with_direct(connect().await);
    examine(&client, &reader, monitored, &refusals, &options).await
}

/// `error: unfit-stream PAYMENT`, one for each finding.
pub(crate) fn named(examined: &Examination) -> Vec<String> {
    let named = examined.findings.iter().map(|one| format!("{}: {} {}", one.severity, one.kind, one.subject));
    named.collect()
}

/// What a finding says, with its details; fails without it.
pub(crate) fn told(examined: &Examination, name: &str) -> String {
    let found = examined.findings.iter().find(|one| format!("{} {}", one.kind, one.subject) == name);
    let found = found.unwrap_or_else(|| panic!("no {name} in {:?}", named(examined)));
    format!("{}\n{}\n{}", found.what, found.details.join("\n"), found.fix)
}

/// The home stream of a service, as it is made.
pub(crate) fn home(service: &str) -> stream::Config {
    stream::Config {
        name: service.to_uppercase(),
        subjects: vec![format!("{service}.*.*")],
        discard: stream::DiscardPolicy::New,
        max_age: 30 * DAY,
        num_replicas: 1,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: said(&[(SERVICE, service), (WIRE, WIRE_VERSION)]),
        ..Default::default()
    }
}

fn bucket(replicas: usize) -> stream::Config {
    stream::Config {
        name: "KV_laban_contracts".to_owned(),
        subjects: vec!["$KV.laban_contracts.>".to_owned()],
        max_messages_per_subject: 8,
        num_replicas: replicas,
        allow_rollup: true,
        allow_direct: true,
        ..Default::default()
    }
}

/// The position of a handler, as it is made.
pub(crate) fn position(service: &str, handler: &str, event: &str) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(format!("{service}_{handler}_{}", event.replace('.', "_"))),
        filter_subject: format!("{event}.*"),
        ack_policy: consumer::AckPolicy::Explicit,
        max_deliver: -1,
        max_ack_pending: 20_000,
        metadata: said(&[(SERVICE, service), (HANDLER, handler), (EVENT, event)]),
        ..Default::default()
    }
}

pub(crate) fn charge() -> consumer::pull::Config {
    position("payment", "charge", "order.placed")
}

pub(crate) fn redrives(service: &str) -> consumer::pull::Config {
    consumer::pull::Config {
        durable_name: Some(format!("{service}__redrive")),
        filter_subject: format!("{service}._redrive.*"),
        metadata: said(&[(REDRIVES, service)]),
        ..charge()
    }
}

pub(crate) fn said(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn order() -> Value {
    json!({
        "service": "order", "handlers": [], "begins": ["order.placed"],
        "events": [{"event": "order.placed", "version": 1, "schema": {"type": "object"}}],
    })
}

pub(crate) fn payment() -> Value {
    json!({
        "service": "payment",
        "handlers": [{
            "name": "charge", "consumes": ["order.placed"], "emits": ["payment.captured"],
            "retry": {"max_attempts": 20, "first_delay_ms": 1, "max_delay_ms": 1}, "timeout_ms": 1,
        }],
        "events": [
            {"event": "order.placed", "version": 1, "schema": {"type": "object"}},
            {"event": "payment.captured", "version": 1, "schema": {"type": "object"}},
        ],
    })
}
