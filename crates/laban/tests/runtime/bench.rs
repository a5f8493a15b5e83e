//! The workbench: one broker a test, services in this process, and a look at the streams.

use std::time::Duration;

use async_nats::HeaderMap;
use laban::{Event, EventId, FlowId, Service};
use laban_testkit::{Broker, wait};
use laban_wire::{FlowReader, HEADER, Message, Meta, Stored};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Conditions are waited for as long as a slow machine may need.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "order.placed", version = 1, flow = order_id)]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) amount_cents: u64,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "payment.captured", version = 1, flow = order_id)]
pub(crate) struct PaymentCaptured {
    pub(crate) order_id: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "payment.declined", version = 1, flow = order_id)]
pub(crate) struct PaymentDeclined {
    pub(crate) order_id: String,
    pub(crate) reason: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[event(name = "inventory.reserved", version = 1, flow = order_id)]
pub(crate) struct StockReserved {
    pub(crate) order_id: String,
}

/// A broker, and a plain client of it.
pub(crate) struct Bench {
    pub(crate) broker: Broker,
    pub(crate) client: async_nats::Client,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::on(Broker::start().await.unwrap()).await
    }

    pub(crate) async fn on(broker: Broker) -> Self {
        let client = async_nats::connect(broker.url()).await.unwrap();
        Self { broker, client }
    }

    pub(crate) fn jetstream(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.client.clone())
    }

    /// A service on this broker that leaves global telemetry alone.
    pub(crate) fn service(&self, name: &str) -> Service {
        Service::new(name)
            .setting("NATS_URL", self.broker.url())
            .setting("LABAN_ACK_WAIT_MS", 1000)
            .own_telemetry()
    }

    /// Makes the home stream of a service that only emits.
    pub(crate) async fn home<E: Event>(&self, name: &str) -> laban::Running {
        self.service(name).emits::<E>().start().await.unwrap()
    }

    /// Publishes an event by hand, as another service's commit would have.
    pub(crate) async fn publish<E: Event>(&self, event: &E, id: EventId) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, Meta::root(id, E::VERSION).to_header());
        self.publish_raw(E::NAME, &event.flow_key(), headers, &serde_json::to_vec(event).unwrap()).await
    }

    pub(crate) async fn publish_raw(&self, event: &str, flow: &str, headers: HeaderMap, body: &[u8]) -> u64 {
        let subject = format!("{event}.{}", FlowId::new(flow).unwrap().token());
        let context = self.jetstream();
        let publish = context.publish_with_headers(subject, headers, body.to_vec().into());
        publish.await.unwrap().await.unwrap().sequence
    }

    pub(crate) async fn place(&self, order_id: &str) -> EventId {
        let id = EventId::root();
        self.publish(&OrderPlaced { order_id: order_id.to_owned(), amount_cents: 100 }, id).await;
        id
    }

    /// Places so many orders, numbered from 0, while the broker is killed and started again, twice.
    pub(crate) async fn place_while_it_restarts(&mut self, emitter: laban::Emitter, count: usize) {
        let placing = tokio::spawn(async move {
            for n in 0..count {
                let order = OrderPlaced { order_id: n.to_string(), amount_cents: 1 };
                // Safe to repeat: the flow begins once.
                while emitter.begin(&order).await.is_err() {}
            }
        });
        for _ in 0..2 {
            self.broker.kill();
            self.broker.start_again().await.unwrap();
        }
        placing.await.unwrap();
    }

    /// All records of a service about a flow, oldest first.
    pub(crate) async fn records(&self, service: &str, flow: &str) -> Vec<Message> {
        let stored =
            self.stored(service, &format!("{service}.*.{}", FlowId::new(flow).unwrap().token())).await;
        stored.into_iter().map(|stored| Message::try_from(stored).unwrap()).collect()
    }

    pub(crate) async fn stored(&self, service: &str, filter: &str) -> Vec<Stored> {
        let reader = FlowReader::new(self.client.clone());
        reader.any_replica(&service.to_uppercase(), filter, 1).await.unwrap_or_default()
    }

    /// Waits until the service has so many records of the flow, and returns them.
    pub(crate) async fn until_records(&self, service: &str, flow: &str, count: usize) -> Vec<Message> {
        let what = format!("{count} records of {service} about {flow}");
        let found = wait::until_some(&what, PATIENCE, async || {
            let records = self.records(service, flow).await;
            (records.len() >= count).then_some(records)
        });
        found.await.unwrap().0
    }

    /// Waits for a record of this name, and returns it with all before it.
    pub(crate) async fn until_record(&self, service: &str, flow: &str, event: &str) -> Vec<Message> {
        self.until_one_of(service, flow, &[event]).await
    }

    /// Waits for a record of one of these names, and returns it with all before it.
    pub(crate) async fn until_one_of(&self, service: &str, flow: &str, events: &[&str]) -> Vec<Message> {
        let what = format!("{} of {service} about {flow}", events.join(" or "));
        let found = wait::until_some(&what, PATIENCE, async || {
            let records = self.records(service, flow).await;
            names(&records).iter().any(|name| events.contains(name)).then_some(records)
        });
        found.await.unwrap().0
    }

    /// Waits until a consumer exists.
    pub(crate) async fn until_consumer(&self, stream: &str, consumer: &str) {
        let context = self.jetstream();
        let what = format!("consumer {consumer}");
        let made = wait::until(&what, PATIENCE, async || {
            let Ok(stream) = context.get_stream(stream).await else { return false };
            stream.consumer_info(consumer).await.is_ok()
        });
        made.await.unwrap();
    }

    /// Waits until a consumer has nothing left to deliver and nothing unacknowledged.
    pub(crate) async fn until_settled(
        &self,
        stream: &str,
        consumer: &str,
    ) -> async_nats::jetstream::consumer::Info {
        let context = self.jetstream();
        let what = format!("consumer {consumer} to be settled");
        let found = wait::until_some(&what, PATIENCE, async || {
            let stream = context.get_stream(stream).await.ok()?;
            let info = stream.consumer_info(consumer).await.ok()?;
            (info.num_pending == 0 && info.num_ack_pending == 0).then_some(info)
        });
        found.await.unwrap().0
    }
}

/// The events' own names, in order.
pub(crate) fn names(records: &[Message]) -> Vec<&str> {
    records.iter().map(|record| record.subject.event_type.event()).collect()
}
