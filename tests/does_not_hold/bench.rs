//! The workbench: a broker, a service that charges in this process, and a look at what it has written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::{self, ErrorCode, stream};
use async_nats::{Client, HeaderMap};
use laban::{Event, EventId, FlowId, Running, Service, State};
use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_tests::small::{OrderPlaced, PaymentCaptured};
use laban_wire::{FlowReader, HEADER, Message, Meta, Stored};

/// What a slow machine may need.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The flow that it is about.
pub(crate) const FLOW: &str = "4711";
/// The consumer of the handler `charge`.
pub(crate) const CONSUMER: &str = "payment_charge_order_placed";

/// How often the handler ran.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<AtomicUsize>);

impl Runs {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

async fn charge(order: OrderPlaced, runs: State<Runs>) -> PaymentCaptured {
    runs.0.0.fetch_add(1, Ordering::Relaxed);
    PaymentCaptured { order_id: order.order_id }
}

/// A plain client of a broker or a cluster, and what services need to find it.
pub(crate) struct Bench {
    url: String,
    pub(crate) client: Client,
    replicas: usize,
}

impl Bench {
    pub(crate) async fn of(broker: &Broker) -> Outcome<Self> {
        Self::at(broker.url(), 1).await
    }

    /// Home streams of so many replicas.
    pub(crate) async fn at(url: String, replicas: usize) -> Outcome<Self> {
        let servers: Vec<&str> = url.split(',').collect();
        let client = async_nats::connect(servers).await?;
        Ok(Self { url, client, replicas })
    }

    pub(crate) fn context(&self) -> jetstream::Context {
        jetstream::new(self.client.clone())
    }

    pub(crate) fn service(&self, name: &str) -> Service {
        Service::new(name)
            .setting("NATS_URL", &self.url)
            .setting("LABAN_ACK_WAIT_MS", 1000)
            .setting("LABAN_REPLICAS", self.replicas)
            .own_telemetry()
    }

    /// Makes the stream that the orders are in.
    pub(crate) async fn orders(&self) -> Outcome<Running> {
        Ok(self.service("order").emits::<OrderPlaced>().start().await?)
    }

    /// An instance of the service that charges for orders.
    pub(crate) async fn payment(&self, runs: &Runs) -> Outcome<Running> {
        Ok(self.service("payment").state(runs.clone()).on(charge).start().await?)
    }

    /// Places the order, and returns its id.
    pub(crate) async fn place(&self) -> Outcome<EventId> {
        let id = EventId::root();
        let order = OrderPlaced { order_id: FLOW.to_owned() };
        self.write(&order, &Meta::root(id, OrderPlaced::VERSION)).await?;
        Ok(id)
    }

    /// Writes an event as anybody can who may publish there.
    pub(crate) async fn write<E: Event + serde::Serialize>(&self, event: &E, meta: &Meta) -> Outcome<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, meta.to_header());
        let subject = format!("{}.{}", E::NAME, FlowId::new(event.flow_key())?.token());
        let body = serde_json::to_vec(event)?;
        let ack = self.context().publish_with_headers(subject, headers, body.into()).await?.await?;
        Ok(ack.sequence)
    }

    /// What the leader has of the service's records about the flow, oldest first; waits for a leader, if there is none.
    pub(crate) async fn records(&self, service: &str) -> Outcome<Vec<Message>> {
        let (reader, stream) = (FlowReader::new(self.client.clone()), service.to_uppercase());
        let filter = format!("{service}.*.{FLOW}");
        let read = wait::until_some(format!("{stream} to be read"), PATIENCE, async || {
            reader.leader(&stream, &filter, 1).await.ok()
        });
        let (stored, _): (Vec<Stored>, _) = read.await?;
        stored.into_iter().map(|stored| Ok(Message::try_from(stored)?)).collect()
    }

    /// Waits until payment has so many records of the flow, and returns them.
    pub(crate) async fn until_records(&self, count: usize) -> Outcome<Vec<Message>> {
        let what = format!("{count} records of payment about {FLOW}");
        let found = wait::until_some(what, PATIENCE, async || {
            self.records("payment").await.ok().filter(|records| records.len() >= count)
        });
        Ok(found.await?.0)
    }

    /// Waits until a consumer has delivered something, and has nothing left to deliver and nothing unacknowledged.
    pub(crate) async fn until_settled(&self, stream: &str, consumer: &str) -> Outcome {
        let context = self.context();
        wait::until(format!("consumer {consumer} to be settled"), PATIENCE, async || {
            let Ok(stream) = context.get_stream(stream).await else { return false };
            let info = stream.consumer_info(consumer).await;
            info.is_ok_and(|info| {
                info.delivered.consumer_sequence > 0 && info.num_pending == 0 && info.num_ack_pending == 0
            })
        })
        .await?;
        Ok(())
    }

    /// Has all orders delivered once more, to an instance that remembers nothing, and waits until it is done with them.
    pub(crate) async fn deliver_again(&self) -> Outcome {
        // After a power failure the broker may know nothing of it.
        if let Err(error) = self.context().delete_consumer_from_stream(CONSUMER, "ORDER").await
            && !matches!(error.kind(), ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
        {
            return Err(error.into());
        }
        let again = self.payment(&Runs::default()).await?;
        self.until_settled("ORDER", CONSUMER).await?;
        stop(again).await
    }

    pub(crate) async fn state(&self, stream: &str) -> Outcome<stream::State> {
        Ok(self.context().get_stream(stream).await?.cached_info().state.clone())
    }
}

/// Stops an instance, and waits until it has drained.
pub(crate) async fn stop(instance: Running) -> Outcome {
    instance.stop();
    Ok(instance.wait().await?)
}

/// The ids of the outcomes among these records.
pub(crate) fn outcomes(records: &[Message]) -> Vec<EventId> {
    let captured = records.iter().filter(|record| record.subject.event_type.event() == "captured");
    captured.map(|record| record.meta.id).collect()
}

/// The id that the outcome has, however often it is written.
pub(crate) fn outcome_of(order: EventId) -> EventId {
    EventId::derived(order, "payment", "charge", 0)
}
