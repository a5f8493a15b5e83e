use std::collections::HashMap;
use std::sync::Arc;

use laban_wire::ConnectSettings;
use laban_wire::contract::Contract;

use crate::config::Config;
use crate::contract;
use crate::definition::Definition;
use crate::extract::States;
use crate::runtime::{Running, Signals};
use crate::{Error, Event, EventInfo, Handler, Result};

/// A named group of handlers, the only writer of its own events.
///
/// ```no_run
/// # use laban::{Event, Failure, OrRetry, Service, State}; use schemars::JsonSchema; use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "order.placed", version = 1, flow = id)]
/// # struct OrderPlaced { id: String }
/// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "inventory.reserved", version = 1, flow = id)]
/// # struct StockReserved { id: String }
/// # #[derive(Clone)] struct Shelf;
/// # impl Shelf { fn open() -> Self { Self } async fn take(&self, id: &str) -> Result<(), std::io::Error> { Ok(()) } }
/// /// Reserve what was ordered.
/// async fn reserve(order: OrderPlaced, shelf: State<Shelf>) -> Result<StockReserved, Failure> {
///     shelf.take(&order.id).await.or_retry()?;
///     Ok(StockReserved { id: order.id })
/// }
///
/// #[tokio::main]
/// async fn main() -> laban::Result<()> {
///     Service::new("inventory").state(Shelf::open()).on(reserve).run().await
/// }
/// ```
pub struct Service {
    name: String,
    definitions: Vec<Definition>,
    begins: Vec<EventInfo>,
    states: States,
    cloud_events: bool,
    telemetry: bool,
    signals: bool,
    settings: HashMap<String, String>,
}

/// A service that fits together, ready to start.
pub(crate) struct Blueprint {
    pub(crate) contract: Contract,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) states: Arc<States>,
    pub(crate) cloud_events: bool,
    pub(crate) telemetry: bool,
    pub(crate) broker: ConnectSettings,
}

impl Service {
    /// A service of this name: `[a-z][a-z0-9-]*`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            definitions: Vec::new(),
            begins: Vec::new(),
            states: States::default(),
            cloud_events: false,
            telemetry: true,
            signals: true,
            settings: HashMap::new(),
        }
    }

    /// Gives the handlers something to share; they take it as [`State<T>`](crate::State). One value of each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Adds a handler.
    #[must_use]
    pub fn on<Args>(mut self, handler: impl Handler<Args>) -> Self {
        self.definitions.push(handler.define());
        self
    }

    /// Declares an event that this service emits without a cause, through its [`Emitter`](crate::Emitter).
    #[must_use]
    pub fn emits<E: Event>(mut self) -> Self {
        self.begins.push(EventInfo::of::<E>());
        self
    }

    /// Writes CloudEvents 1.0 headers too, for readers who know nothing of Laban. Each header costs both ends some time.
    #[must_use]
    pub fn cloud_events(mut self) -> Self {
        self.cloud_events = true;
        self
    }

    /// Leaves OpenTelemetry's global providers and the `tracing` subscriber as they are, for programs that set up their own.
    #[must_use]
    pub fn own_telemetry(mut self) -> Self {
        self.telemetry = false;
        self
    }

    /// Leaves SIGTERM and Ctrl-C to the program, for programs that see to them: only [`Running::stop`] stops the service.
    #[must_use]
    pub fn own_signals(mut self) -> Self {
        self.signals = false;
        self
    }

    /// Sets one of the `NATS_*` and `LABAN_*` variables for this service alone, over the environment's: for tests, and for
    /// programs that are configured otherwise.
    #[must_use]
    pub fn setting(mut self, variable: impl Into<String>, value: impl ToString) -> Self {
        self.settings.insert(variable.into(), value.to_string());
        self
    }

    /// What the service consumes and emits.
    ///
    /// # Errors
    /// When the handlers do not fit together: two of one name, a state that is missing, an event of another service emitted.
    pub fn contract(&self) -> Result<Contract> {
        contract::derive(&self.name, &self.definitions, &self.begins, &self.states)
    }

    /// Starts the service: connects, checks the broker and the home stream, and begins to react.
    ///
    /// For programs that do something besides, such as serve HTTP; others call [`run`](Self::run). From now on SIGTERM and
    /// Ctrl-C stop the service, wherever it is, unless the program has kept them to [itself](Self::own_signals). A program
    /// that does not go on to [`wait`](Running::wait) within five seconds of a signal is ended.
    ///
    /// # Errors
    /// When the service does not fit together, a setting is wrong, or the broker is not what is needed. When it is not
    /// there, or a cluster without a leader, for as long as `LABAN_CONNECT_TIMEOUT_MS`. [`Error::Stopped`] when a signal
    /// comes first.
    pub async fn start(self) -> Result<Running> {
        let signals = self.signals();
        let mut running = self.begin(signals).await?;
        running.signals.await_stop(false);
        Ok(running)
    }

    /// Runs the service until SIGTERM or Ctrl-C, then drains: takes nothing new, finishes what is in hand, flushes. A signal
    /// that comes before the service has started ends it as well, with nothing begun.
    ///
    /// # Errors
    /// As [`start`](Self::start), but for [`Error::Stopped`], and when the drain does not finish in time.
    pub async fn run(self) -> Result<()> {
        let signals = self.signals();
        match self.begin(signals).await {
            Ok(running) => running.wait().await,
            Err(Error::Stopped { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn signals(&self) -> Signals {
        if self.signals { Signals::listen(&self.name) } else { Signals::ignored() }
    }

    async fn begin(self, signals: Signals) -> Result<Running> {
        let contract = self.contract()?;
        let lookup = |name: &str| self.settings.get(name).cloned().or_else(|| std::env::var(name).ok());
        #[cfg(feature = "faults")]
        crate::runtime::faults::arm(lookup)?;
        let config = Config::from_lookup(lookup)?;
        let broker = ConnectSettings::from_lookup(lookup)?;
        let blueprint = Blueprint {
            contract,
            definitions: self.definitions,
            states: Arc::new(self.states),
            cloud_events: self.cloud_events,
            telemetry: self.telemetry,
            broker,
        };
        Running::start(blueprint, config, signals).await
    }
}
