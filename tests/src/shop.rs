use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, consumer};
use demo::audit::{Audit, audit};
use demo::orders::{Placed, Plan, place};
use demo::traces::Wanted;
use demo::{Error, History, Mesh, Progress, Service, Settings, settle};
use futures_util::TryStreamExt as _;
use laban_wire::FlowId;
use tokio::sync::Semaphore;

use crate::Outcome;

/// How long flows may take to end.
const SETTLE: Duration = Duration::from_secs(90);
/// How many orders are under way at a time.
const AT_ONCE: usize = 16;

/// A shop that runs.
pub struct Shop {
    /// Its processes.
    pub mesh: Mesh,
}

/// All there is to know when it is over.
pub struct Over {
    /// All that the streams hold.
    pub history: History,
    /// What came of the orders.
    pub audit: Audit,
}

impl Shop {
    /// A shop whose spans go to the own receiver.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn open() -> Outcome<Self> {
        Self::with(Settings::default()).await
    }

    /// The same, which does not wait long for a payment.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn impatient() -> Outcome<Self> {
        Self::with(Settings { env: soon_overdue(), ..Settings::default() }).await
    }

    /// A shop whose spans go to the own receiver, and that is otherwise as the settings say.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn with(settings: Settings) -> Outcome<Self> {
        let (traces, ack_wait) = (Wanted::Receiver, Duration::from_secs(2));
        Ok(Self { mesh: Mesh::start(Settings { traces, ack_wait, logs: logs(), ..settings }).await? })
    }

    /// A shop whose spans go to Jaeger if one is at hand, with `LABAN_REQUIRE_JAEGER=1` to Jaeger or nowhere; and that does
    /// not wait long for a payment.
    ///
    /// # Errors
    /// When a part cannot be started.
    pub async fn with_jaeger() -> Outcome<Self> {
        let (traces, env) = (Wanted::from_env(), soon_overdue());
        let settings = Settings { traces, logs: logs(), env, ..Settings::default() };
        Ok(Self { mesh: Mesh::start(settings).await? })
    }

    /// Places the orders; the future borrows nothing, so that the shop can be troubled meanwhile.
    pub fn place(&self, plan: &Plan) -> impl Future<Output = Vec<Placed>> + use<> {
        let (door, orders) = (self.mesh.door(), plan.orders.clone());
        async move { place(&door, &orders, AT_ONCE, &Progress::Silent.stage("", 0)).await }
    }

    /// Places the orders in portions, the first at once, each other when the gate lets it: trouble that comes as a portion
    /// is let go comes in the middle, however fast the machine is.
    pub fn place_in_portions(
        &self,
        plan: &Plan,
        portions: usize,
    ) -> (impl Future<Output = Vec<Placed>> + use<>, Arc<Semaphore>) {
        let (door, orders) = (self.mesh.door(), plan.orders.clone());
        let gate = Arc::new(Semaphore::new(1));
        let let_go = Arc::clone(&gate);
        let placing = async move {
            let mut placed = Vec::with_capacity(orders.len());
            for portion in orders.chunks(orders.len().div_ceil(portions)) {
                // Nobody closes the gate.
                if let Ok(permit) = let_go.acquire().await {
                    permit.forget();
                }
                placed.extend(place(&door, portion, AT_ONCE, &Progress::Silent.stage("", 0)).await);
            }
            placed
        };
        (placing, gate)
    }

    /// Waits until all flows have ended, and audits everything.
    ///
    /// # Errors
    /// With what is awaited, when some do not end.
    pub async fn over(&self, plan: &Plan, placed: &[Placed]) -> Outcome<Over> {
        let history = self.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
        let audit = audit(plan, placed, &history, &self.mesh.books())?;
        Ok(Over { history, audit })
    }

    /// Waits until these flows have ended, and returns all that the streams hold then.
    ///
    /// # Errors
    /// With what is awaited, when some do not end.
    pub async fn settled(&self, flows: impl IntoIterator<Item = &FlowId>) -> Outcome<History> {
        let mut history = self.history().await?;
        let stage = Progress::Silent.stage("", 0);
        let unsettled = settle(|| self.mesh.check(), &mut history, flows, SETTLE, &stage).await?;
        if unsettled.0.is_empty() { Ok(history) } else { Err(unsettled.to_string().into()) }
    }

    /// All that the streams hold now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn history(&self) -> Outcome<History> {
        Ok(self.mesh.history().await?)
    }

    /// Orders and everything about them, from beginning to end, with nothing in the way: that the shop still works.
    ///
    /// # Errors
    /// With what is not as it should be.
    pub async fn serves(&self, plan: &Plan) -> Outcome<Over> {
        let placed = self.place(plan).await;
        self.over(plan, &placed).await
    }

    /// Where a service that was started last serves `/metrics`: its log says which port was bound.
    ///
    /// # Errors
    /// When it has not said so yet.
    pub fn metrics_address(&self, service: Service) -> Outcome<String> {
        let log = self.mesh.process(service).ok_or("the service runs")?.log_tail(1000);
        let line = log.lines().rfind(|line| line.contains("serving /metrics"));
        let address = line.and_then(|line| line.split("address=").nth(1)).ok_or("a line with the address")?;
        Ok(address.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Whether all services are still the processes that they were.
    ///
    /// # Errors
    /// With the log of one that has ended.
    pub fn all_alive(&self) -> Result<(), Error> {
        self.mesh.check()
    }
}

impl Over {
    /// Fails unless all is as planned.
    ///
    /// # Panics
    /// With what is not.
    #[track_caller]
    pub fn assert_as_planned(&self, plan: &Plan) {
        let Audit { findings, .. } = &self.audit;
        assert!(
            findings.is_empty(),
            "expected nothing to find, found {}:\n  {}",
            findings.len(),
            findings.join("\n  ")
        );
        let totals = |flows, completed, duplicates, dead, stuck| {
            format!(
                "{flows} flows, {completed} completed, {duplicates} duplicates, {dead} dead, {stuck} stuck"
            )
        };
        let Audit { flows, completed, duplicates, dead, stuck, .. } = &self.audit;
        assert_eq!(
            totals(*flows, completed.len(), *duplicates, *dead, *stuck),
            totals(plan.flows(), plan.completed(), 0, 0, 0),
            "left: what came of the orders; right: what should have"
        );
        assert!(self.audit.books_balanced, "expected the books to balance");
    }
}

/// Soon enough to wait for, and long enough for any payment that does answer.
fn soon_overdue() -> Vec<(&'static str, String)> {
    vec![("SHOP_PAYMENT_DEADLINE_MS", "5000".to_owned())]
}

/// Where the services' logs are kept: nowhere, unless `LABAN_TEST_LOGS` names a folder; there by test.
fn logs() -> Option<PathBuf> {
    let folder = std::env::var_os("LABAN_TEST_LOGS")?;
    let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
    Some(PathBuf::from(folder).join(test))
}

/// All consumers of the services.
///
/// # Errors
/// When the broker does not answer.
pub async fn consumers(client: &async_nats::Client) -> Outcome<Vec<consumer::Info>> {
    let context = jetstream::new(client.clone());
    let mut all = Vec::new();
    for service in Service::ALL {
        let stream = context.get_stream(service.name().to_uppercase()).await?;
        all.extend(stream.consumers().try_collect::<Vec<_>>().await?);
    }
    Ok(all)
}

/// How often each consumer delivered a message again, by name: deliveries beyond one for each message.
///
/// # Errors
/// When the broker does not answer.
pub async fn redeliveries(client: &async_nats::Client) -> Outcome<Vec<(String, u64)>> {
    let context = jetstream::new(client.clone());
    let mut all = Vec::new();
    for info in consumers(client).await? {
        let stream = context.get_stream(&info.stream_name).await?;
        let subjects = stream.info_with_subjects(&info.config.filter_subject).await?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await?;
        let messages: usize = subjects.iter().map(|(_, count)| count).sum();
        let again = info.delivered.consumer_sequence.saturating_sub(messages as u64);
        all.push((info.name, again));
    }
    Ok(all)
}
