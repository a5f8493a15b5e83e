use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use laban_wire::contract::Contract;
use laban_wire::{EventType, REDRIVE, error_chain, home_stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::announcing::{Announcing, Listed};
use super::append::Appender;
use super::commit::Committer;
use super::consumers::Position;
use super::core::Core;
use super::deadlines::Due;
use super::drafts::Drafting;
use super::handling::Handling;
use super::link::Link;
use super::memory::Memory;
use super::pull::{Puller, Worker};
use super::redrive::Redriving;
use super::replaying::Replaying;
use super::signals::Signals;
use super::turns::Turns;
use super::vigil::Vigil;
use super::{broker, hops, lag};
use crate::config::Config;
use crate::definition::Definition;
use crate::handler::panic_text;
use crate::service::Blueprint;
use crate::telemetry::{HandlerSpans, Health, Metrics, SpanCounts, Telemetry, serve};
use crate::{BoxError, Emitter, Error, Result};

/// A service that has started.
///
/// Dropping it without [`wait`](Self::wait) stops pulling, but drains nothing; SIGTERM and Ctrl-C then end the process.
pub struct Running {
    core: Arc<Core>,
    emitter: Emitter,
    work: Work,
    endpoint: Endpoint,
    telemetry: Telemetry,
    pub(crate) signals: Signals,
}

/// What others ask the process about. It outlives the drain.
struct Endpoint {
    health: Arc<Health>,
    address: Option<SocketAddr>,
    ended: CancellationToken,
}

/// How long a stop waits for the last acknowledgements to leave.
const FLUSH: Duration = Duration::from_secs(2);

/// The tasks of a service.
struct Work {
    pullers: TaskTracker,
    deliveries: TaskTracker,
    /// What the program does besides.
    beside: TaskTracker,
    failed: Arc<Mutex<Option<BoxError>>>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) async fn start(blueprint: Blueprint, config: Config, signals: Signals) -> Result<Self> {
        let service = blueprint.contract.service.clone();
        let telemetry = if blueprint.telemetry {
            Telemetry::install(service.as_str(), blueprint.broker.local_ip().await, config.trace_broker)?
        } else {
            Telemetry::none()
        };
        #[cfg(feature = "faults")]
        super::faults::warn();
        match Self::attach(blueprint, config, &telemetry, &signals).await {
            Ok((core, emitter, work, endpoint)) => {
                Ok(Self { core, emitter, work, endpoint, telemetry, signals })
            }
            Err(error) => {
                telemetry.shutdown(service.as_str()).await;
                Err(error)
            }
        }
    }

    async fn attach(
        blueprint: Blueprint,
        config: Config,
        telemetry: &Telemetry,
        signals: &Signals,
    ) -> Result<(Arc<Core>, Emitter, Work, Endpoint)> {
        let Blueprint { contract, definitions, states, cloud_events, broker, version, .. } = blueprint;
        let service = contract.service.clone();
        let reached = broker::reach(&contract, broker, &definitions, &config);
        let link = signals.unless_stopped(service.as_str(), reached).await?;

        if let Some(spans) = telemetry.hop_spans() {
            hops::trace(&link, service.as_str(), spans, signals.stop.clone()).await;
        } else if config.trace_broker {
            tracing::warn!(%service, "LABAN_TRACE_BROKER: no spans are exported, so the broker's hops are not traced");
        }
        let metrics = Metrics::of(service.as_str());
        metrics.watch_spans(&telemetry.span_counts);
        let committer = Committer {
            appender: Appender::start(link.clone()),
            link: link.clone(),
            stream: home_stream(&service).into(),
            service: service.to_string(),
            metrics: metrics.clone(),
        };
        let vigil = Arc::new(Vigil::default());
        vigil.keep(config.ack_wait / 3);
        let core = Arc::new(Core {
            drafting: Drafting { service: service.clone(), cloud_events },
            committer,
            memory: Memory::of(config.remembered_flows),
            turns: Arc::new(Turns::default()),
            vigil,
            states,
            keep_records: definitions.iter().any(|definition| definition.reads_flow),
            config,
            metrics,
            suspects: Semaphore::new(1),
            service,
        });
        let endpoint = Endpoint::open(&core, telemetry, signals.stop.clone()).await?;
        let starting = Starting {
            core: &core,
            link,
            stop: &signals.stop,
            contract: &contract,
            version: &version,
            spans: &telemetry.span_counts,
        };
        let work = starting.work(definitions);
        let emitter = Emitter::new(Arc::clone(&core), contract.begins.clone());
        endpoint.health.attached();
        tracing::info!(service = %core.service, handlers = contract.handlers.len(), "started");
        Ok((core, emitter, work, endpoint))
    }

    /// Emits events without a cause: where flows begin.
    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }

    /// Completes when the service begins to stop: on SIGTERM, Ctrl-C or [`stop`](Self::stop). For the graceful shutdown of
    /// what the program does besides.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.work.stop.clone().cancelled_owned()
    }

    /// Runs something beside the handlers, such as an HTTP server, which ends when [`stopping`](Self::stopping) completes.
    /// The drain waits for it, so that its last spans and events leave too. If it fails or panics, the service stops, and
    /// [`wait`](Self::wait) returns its error.
    pub fn spawn(&self, task: impl Future<Output = Result<(), BoxError>> + Send + 'static) {
        let (stop, failed) = (self.work.stop.clone(), Arc::clone(&self.work.failed));
        self.work.beside.spawn(async move {
            let ended = AssertUnwindSafe(task).catch_unwind().await;
            if let Err(error) = ended.unwrap_or_else(|panic| Err(panic_text(&*panic).into())) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                stop.cancel();
            }
        });
    }

    /// Where `/metrics`, `/livez` and `/readyz` are served, if they are: `LABAN_HTTP_ADDR` with the port that was bound.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.endpoint.address
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.work.stop.cancel();
    }

    /// Waits for SIGTERM, Ctrl-C or [`stop`](Self::stop), then drains: takes nothing new, finishes what is in hand, and lets
    /// acknowledgements, spans and metrics leave. A second signal ends the process at once.
    ///
    /// # Errors
    /// When handlers are still at work at the end of `LABAN_DRAIN_TIMEOUT_MS`. Nothing is lost: the broker delivers their
    /// events again.
    pub async fn wait(mut self) -> Result<()> {
        self.signals.await_stop(true);
        self.work.stop.cancelled().await;
        self.stop();
        let limit = self.core.config.drain_timeout;
        let drained = tokio::time::timeout(limit, self.work.drain()).await;
        // A broker that is away must not hold up the stop.
        let client = self.core.committer.link.client();
        let flushed = tokio::time::timeout(FLUSH, client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!(service = %self.core.service, "the last acknowledgements may not have left; the broker will deliver again");
        }
        let service = self.core.service.clone();
        let failed = self.work.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let result = match drained {
            Ok(()) => failed.map_or(Ok(()), |error| {
                Err(Error::Beside { service: service.to_string(), reason: error_chain(error.as_ref()) })
            }),
            Err(_) => Err(Error::Drain {
                service: service.to_string(),
                unfinished: self.work.deliveries.len() + self.work.beside.len(),
                after_ms: limit.as_millis(),
            }),
        };
        self.endpoint.ended.cancel();
        tracing::info!(%service, "stopped");
        self.telemetry.shutdown(service.as_str()).await;
        result
    }
}

impl Endpoint {
    async fn open(core: &Core, telemetry: &Telemetry, stop: CancellationToken) -> Result<Self> {
        let (health, ended) = (Arc::new(Health::until(stop)), CancellationToken::new());
        let Some(wanted) = core.config.http_addr else {
            return Ok(Self { health, address: None, ended });
        };
        let (registry, link) = (telemetry.registry.clone(), core.committer.link.clone());
        let bound = serve(wanted, registry, Arc::clone(&health), link, ended.clone()).await;
        let address = bound.map_err(|error| Error::Config {
            name: "LABAN_HTTP_ADDR",
            value: wanted.to_string(),
            reason: format!("cannot listen there: {error}"),
        })?;
        tracing::info!(service = %core.service, %address, "serving /metrics, /livez and /readyz");
        Ok(Self { health, address: Some(address), ended })
    }
}

impl Work {
    /// None yet. They go on until `stop` is cancelled.
    fn until(stop: CancellationToken) -> Self {
        let (pullers, deliveries, beside) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
        Self { pullers, deliveries, beside, failed: Arc::default(), stop }
    }

    async fn drain(&self) {
        self.pullers.close();
        self.pullers.wait().await;
        self.deliveries.close();
        self.deliveries.wait().await;
        self.beside.close();
        self.beside.wait().await;
    }
}

/// Stops pulling when the service is dropped without being waited for.
impl Drop for Work {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What it takes to start pulling.
struct Starting<'a> {
    core: &'a Arc<Core>,
    link: Link,
    stop: &'a CancellationToken,
    contract: &'a Contract,
    version: &'a str,
    spans: &'a Arc<SpanCounts>,
}

/// Redrives that are worked on at a time.
const REDRIVES: usize = 16;
/// Timers that are stopped, or looked at when they are due, at a time. Handlers have limits of their own.
const TIMERS: usize = 64;

impl Starting<'_> {
    /// Starts all handlers.
    fn work(&self, definitions: Vec<Definition>) -> Work {
        let work = Work::until(self.stop.clone());
        let (mut handlings, mut endpoints) = (Vec::new(), Vec::new());
        for definition in definitions {
            let running = Arc::new(Semaphore::new(definition.concurrency));
            let events = crate::contract::names(&definition.consumes);
            // Deliveries are asked for in advance; the semaphore is what holds the limit.
            let limit = definition.concurrency.div_ceil(events.len());
            for event in events {
                let position = Position::of(&self.core.service, &definition, &event, &self.core.config);
                let handling = self.handling(&definition, event, &position, Arc::clone(&running));
                work.pullers.spawn(lag::watch(
                    self.link.clone(),
                    Arc::clone(&position.stream),
                    position.name().to_owned(),
                    handling.metrics.clone(),
                    work.stop.clone(),
                ));
                let worker = if definition.deadline.is_some() { Worker::Arming } else { Worker::Handling };
                endpoints.push(Listed::of(&handling, &position));
                self.pull(&work, worker(Arc::clone(&handling)), position, limit);
                handlings.push(handling);
            }
        }
        // The drain does not wait for it.
        let announcing = Announcing::of(self.contract, self.version, Arc::clone(self.spans), endpoints);
        tokio::spawn(announcing.answer(self.link.clone(), work.stop.clone()));
        self.deadlines(&work, &handlings);
        if !handlings.is_empty() {
            let position = Position::of_redrives(&self.core.service, &self.core.config);
            let redrive = EventType::system(&self.core.service, REDRIVE);
            let redriving = Arc::new(Redriving { handlings: handlings.clone(), redrive });
            self.pull(&work, Worker::Redriving(redriving), position, REDRIVES);
            let replaying = Arc::new(Replaying::of(handlings, work.deliveries.clone()));
            work.pullers.spawn(replaying.answer(self.link.clone(), work.stop.clone()));
        }
        work
    }

    /// What handlers with a deadline have besides: the events that they wait for, and the timers that are due.
    fn deadlines(&self, work: &Work, handlings: &[Arc<Handling>]) {
        let (service, config) = (&self.core.service, &self.core.config);
        let late = handlings.iter().filter(|one| one.definition.deadline.is_some());
        let handlings: Vec<_> = late.cloned().collect();
        for (index, one) in handlings.iter().enumerate() {
            // A handler of several events waits for the same with each of them.
            if handlings[..index].iter().any(|other| other.handler == one.handler) {
                continue;
            }
            for event in one.definition.deadline.iter().flat_map(|deadline| &deadline.unless) {
                let position = Position::of_awaited(service, &one.definition, event, config);
                self.pull(work, Worker::Cancelling(Arc::clone(one)), position, TIMERS);
            }
        }
        if !handlings.is_empty() {
            let due = Arc::new(Due { handlings });
            self.pull(work, Worker::Due(due), Position::of_due(service, config), TIMERS);
        }
    }

    fn handling(
        &self,
        definition: &Definition,
        event: EventType,
        position: &Position,
        running: Arc<Semaphore>,
    ) -> Arc<Handling> {
        let handler: Arc<str> = definition.name.as_ref().into();
        let (service, name) = (self.core.service.as_str(), event.as_str());
        let emits = crate::contract::names(definition.all_emits());
        Arc::new(Handling {
            spans: HandlerSpans::of(service, &handler, &event, position.name(), &emits),
            metrics: self.core.metrics.handler(&handler, name, position.name()),
            core: Arc::clone(self.core),
            definition: definition.clone(),
            handler,
            event,
            running,
        })
    }

    fn pull(&self, work: &Work, worker: Worker, position: Position, limit: usize) {
        let puller = Puller {
            worker,
            position,
            link: self.link.clone(),
            limit,
            tasks: work.deliveries.clone(),
            stop: work.stop.clone(),
            epochs: self.link.epochs(),
            screening: Arc::default(),
        };
        work.pullers.spawn(puller.run());
    }
}
