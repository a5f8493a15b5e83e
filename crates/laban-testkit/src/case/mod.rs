//! A flow as a test: given these events, a service must produce those.

mod broker;
mod compare;
mod plan;
mod run;
mod service;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use laban_wire::EventId;
use laban_wire::case::{self, CaseRecord};

pub use self::compare::Differences;
pub use self::run::CaseRun;
use crate::{Broker, Error};

/// How long a service may take to start, and for each reaction, unless told.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A flow as a test: what its services were told, and what they said.
///
/// `laban flow export <flow> --format case` writes one. It runs for one service at a time, on a real broker: the events of
/// the others, and those that the service began itself, are given to it, with the ids that they had; what it made of them
/// must be what it made of them then.
///
/// ```
/// use laban::{Event, Service};
/// use laban_testkit::{Broker, Case};
/// # use schemars::JsonSchema;
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "order.placed", version = 1, flow = order_id)]
/// struct OrderPlaced {
///     order_id: String,
///     total_cents: u64,
/// }
///
/// #[derive(Event, Serialize, Deserialize, JsonSchema)]
/// #[event(name = "payment.captured", version = 1, flow = order_id)]
/// struct PaymentCaptured {
///     order_id: String,
///     amount_cents: u64,
/// }
///
/// async fn charge(order: OrderPlaced) -> PaymentCaptured {
///     PaymentCaptured { order_id: order.order_id, amount_cents: order.total_cents }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In a test this is `Case::read("tests/cases/4711.json")?`, with a file that was exported.
/// let case = Case::parse(r#"{
///     "laban_case": 1,
///     "flow": "4711",
///     "records": [
///         {"event": "order.placed", "version": 1, "id": "0199f3c2-0000-7000-8000-000000000001",
///          "body": {"order_id": "4711", "total_cents": 900}},
///         {"event": "payment.captured", "version": 1, "id": "7e1b32d0-2339-59e6-9f44-6861294b20b1",
///          "cause": "0199f3c2-0000-7000-8000-000000000001", "on": "order.placed", "handler": "charge",
///          "body": {"order_id": "4711", "amount_cents": 900}}
///     ]
/// }"#)?;
///
/// let broker = Broker::start().await?;
/// let run = case.of("payment").on(&broker).await?;     // makes the home streams of the others
/// let payment = Service::new("payment").on(charge).own_telemetry().own_signals();
/// let _running = payment.setting("NATS_URL", broker.url()).start().await?;
/// run.check().await?;                                  // gives it what it was told, and compares what it says
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Case {
    name: Arc<str>,
    case: Arc<case::Case>,
}

impl Case {
    /// Reads a case from a file.
    ///
    /// # Errors
    /// With what is wrong and where, when the file cannot be read or is no case.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unread = |why: String| Error::Case { case: name.clone(), why };
        let bytes = std::fs::metadata(path).map_err(|e| unread(e.to_string()))?.len();
        if bytes > case::MAX_BYTES as u64 {
            return Err(unread(format!("it has {bytes} bytes, a case has at most {}", case::MAX_BYTES)));
        }
        Self::named(&name, &std::fs::read(path).map_err(|e| unread(e.to_string()))?)
    }

    /// Reads a case from a text.
    ///
    /// # Errors
    /// With what is wrong and where, when it is no case.
    pub fn parse(text: impl AsRef<str>) -> Result<Self, Error> {
        Self::named("in a text", text.as_ref().as_bytes())
    }

    fn named(name: &str, text: &[u8]) -> Result<Self, Error> {
        let case = case::Case::parse(text);
        let case = case.map_err(|e| Error::Case { case: name.to_owned(), why: e.to_string() })?;
        Ok(Self { name: name.into(), case: case.into() })
    }

    /// The flow's business key.
    #[must_use]
    pub fn flow(&self) -> String {
        self.case.flow().key()
    }

    /// The services that reacted to something in this case, and so can be tested by it.
    #[must_use]
    pub fn services(&self) -> Vec<&str> {
        let records = self.case.records();
        let events: HashSet<EventId> = records.iter().filter_map(CaseRecord::id).collect();
        let did =
            records.iter().filter(|one| one.work.as_ref().is_some_and(|work| events.contains(&work.cause)));
        let mut services: Vec<&str> = did.map(|record| record.event.service()).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// The part of one service.
    pub fn of(&self, service: impl Into<String>) -> CaseOf {
        CaseOf { case: self.clone(), service: service.into(), timeout: TIMEOUT }
    }
}

/// The part of one service in a case: see [`Case::of`].
#[derive(Clone, Debug)]
#[must_use = "it does nothing until it is run on a broker"]
pub struct CaseOf {
    case: Case,
    service: String,
    timeout: Duration,
}

impl CaseOf {
    /// How long the service may take to start, and for each single reaction; 30 s unless told. It is waited for only while
    /// something may still come.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Prepares a broker: makes the home streams of the other services. The service itself is started after this, or was
    /// before.
    ///
    /// # Errors
    /// [`Error::Case`] when the service does nothing in this case, or the broker has records of its flow already;
    /// [`Error::Broker`] when the broker does not do what is needed.
    pub async fn on(self, broker: &Broker) -> Result<CaseRun, Error> {
        CaseRun::prepare(self.case, self.service, self.timeout, &broker.url()).await
    }
}
