use std::collections::HashMap;
use std::sync::Arc;

use laban_wire::contract::Contract;
use laban_wire::{ConnectSettings, error_chain};

use crate::command_line::{self, Program, Variable};
use crate::config::Config;
use crate::contract;
use crate::definition::Definition;
use crate::extract::{Opener, States};
use crate::runtime::{Running, Signals};
use crate::shadow::{self, Awaited, Stub};
use crate::{BoxError, Error, Event, EventInfo, Handler, Recorded, Result};

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
    openers: Vec<Opener>,
    stubs: Vec<Stub>,
    version: String,
    cloud_events: bool,
    telemetry: bool,
    signals: bool,
    arguments: bool,
    settings: HashMap<String, String>,
    variables: Vec<Variable>,
}

/// A service that fits together, ready to start.
pub(crate) struct Blueprint {
    pub(crate) contract: Contract,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) states: Arc<States>,
    pub(crate) version: String,
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
            openers: Vec::new(),
            stubs: Vec::new(),
            version: "0.0.0".to_owned(),
            cloud_events: false,
            telemetry: true,
            signals: true,
            arguments: true,
            settings: HashMap::new(),
            variables: Vec::new(),
        }
    }

    /// Gives the handlers something to share; they take it as [`State<T>`](crate::State). One value of each type.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, state: T) -> Self {
        self.states.insert(state);
        self
    }

    /// Gives the handlers something to share that is opened when the service starts, and only then: a database, a pool.
    /// So what the program is asked on its command line ([`run`](Self::run)) is answered without it.
    ///
    /// ```
    /// # use laban::Service;
    /// # #[derive(Clone)] struct Shelf;
    /// # impl Shelf { async fn open() -> Result<Self, std::io::Error> { Ok(Self) } }
    /// # let service =
    /// Service::new("inventory").state_with(Shelf::open)
    /// # ;
    /// ```
    #[must_use]
    pub fn state_with<T, E, Fut>(mut self, open: impl FnOnce() -> Fut + Send + 'static) -> Self
    where
        T: Clone + Send + Sync + 'static,
        E: Into<BoxError>,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.openers.push(Opener::of(open));
        self
    }

    /// Says what stands for [`State<T>`](crate::State) when the service runs in a shadow: when `laban replay shadow` tries a
    /// build on what is recorded. It is made anew for each reaction, of what is recorded of that, and must have no effect
    /// outside. What was given with [`state`](Self::state) is not used there, and what was given with
    /// [`state_with`](Self::state_with) is not opened. A service of which a handler takes a state and nothing stands for it
    /// refuses to run in a shadow.
    ///
    /// ```
    /// # use std::sync::Arc; use laban::{BoxError, Event, Recorded, Service}; use schemars::JsonSchema;
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize, JsonSchema)] #[event(name = "payment.captured", version = 1, flow = id)]
    /// # struct PaymentCaptured { id: String }
    /// trait Bank: Send + Sync {
    ///     fn charge(&self, cents: u64) -> bool;
    /// }
    ///
    /// struct RealBank;
    /// # impl Bank for RealBank { fn charge(&self, cents: u64) -> bool { true } }
    ///
    /// /// Says what the bank must have said.
    /// struct RecordedBank(bool);
    ///
    /// impl Bank for RecordedBank {
    ///     fn charge(&self, _: u64) -> bool {
    ///         self.0
    ///     }
    /// }
    ///
    /// # let service =
    /// Service::new("payment")
    ///     .state::<Arc<dyn Bank>>(Arc::new(RealBank))
    ///     .state_in_shadow::<Arc<dyn Bank>>(|recorded| {
    ///         let captured = recorded.event::<PaymentCaptured>()?;
    ///         Ok(Arc::new(RecordedBank(captured.is_some())))
    ///     })
    /// # ;
    /// ```
    ///
    /// A reaction for which it returns an error, because what is recorded does not tell enough, is not run, and the report
    /// says so.
    #[must_use]
    pub fn state_in_shadow<T: Clone + Send + Sync + 'static>(
        mut self,
        make: impl Fn(&Recorded) -> Result<T, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.stubs.push(Stub::of(make));
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

    /// The version of this service, for those who ask who is there (`nats micro ls`): `env!("CARGO_PKG_VERSION")`, most
    /// likely. 0.0.0 unless told.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
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

    /// Leaves the program's arguments to the program: [`run`](Self::run) does not look at them.
    #[must_use]
    pub fn own_arguments(mut self) -> Self {
        self.arguments = false;
        self
    }

    /// Answers the program's arguments, if there are any, and then ends the process: `contract` prints the contract as JSON,
    /// `health` asks the instance at `LABAN_HTTP_ADDR` whether it is ready (code 0, or 1), `--help` says what can be asked and
    /// what is read from the environment, and anything else is an error, with code 2.
    ///
    /// When `laban replay shadow` has started the program, it is served to its end, and then the process ends as well.
    ///
    /// [`run`](Self::run) does this by itself. A program that starts its service by hand calls it before it opens anything.
    #[must_use]
    pub fn command_line(self) -> Self {
        let service = self.answered();
        match service.awaited() {
            Ok(None) => service,
            Ok(Some(awaited)) => shadow::end_with(service.name.clone(), service.serve(awaited)),
            Err(error) => shadow::end(Err(error)),
        }
    }

    fn answered(self) -> Self {
        let program = Program {
            service: &self.name,
            own: &self.variables,
            http_addr: self.setting_of("LABAN_HTTP_ADDR"),
        };
        command_line::answer(&program, || self.contract());
        self
    }

    /// Names a variable that the program itself reads from the environment, for its `--help`: what it is when it is not
    /// set, which may be empty, and what it means. It is not read here.
    ///
    /// ```
    /// # use laban::Service;
    /// # let service =
    /// Service::new("order").variable("ORDER_HTTP_ADDR", "127.0.0.1:8080", "where orders are taken")
    /// # ;
    /// ```
    #[must_use]
    pub fn variable(mut self, name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        self.variables.push(Variable { name, default, meaning });
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
        let given = |id| self.states.has(id) || self.openers.iter().any(|opener: &Opener| opener.id == id);
        contract::derive(&self.name, &self.definitions, &self.begins, &given)
    }

    /// Starts the service: connects, checks the broker and the home stream, and begins to react.
    ///
    /// For programs that do something besides, such as serve HTTP; others call [`run`](Self::run). From now on SIGTERM and
    /// Ctrl-C stop the service, wherever it is, unless the program has kept them to [itself](Self::own_signals). A program
    /// that does not go on to [`wait`](Running::wait) within five seconds of a signal is ended.
    ///
    /// In a shadow (`laban replay shadow`) nothing is started: it is served to its end, and then the process ends.
    ///
    /// # Errors
    /// When the service does not fit together, a setting is wrong, or the broker is not what is needed. When it is not
    /// there, or a cluster without a leader, for as long as `LABAN_CONNECT_TIMEOUT_MS`. [`Error::Stopped`] when a signal
    /// comes first.
    pub async fn start(self) -> Result<Running> {
        if let Some(awaited) = self.awaited()? {
            shadow::end(self.serve(awaited).await);
        }
        let signals = self.signals();
        let mut running = self.begin(signals).await?;
        running.signals.await_stop(false);
        Ok(running)
    }

    /// Runs the service until SIGTERM or Ctrl-C, then drains: takes nothing new, finishes what is in hand, flushes. A signal
    /// that comes before the service has started ends it as well, with nothing begun.
    ///
    /// Before anything is opened it answers the program's arguments, as [`command_line`](Self::command_line) does, unless
    /// the program has [arguments of its own](Self::own_arguments).
    ///
    /// In a shadow (`laban replay shadow`) it serves that instead, to its end.
    ///
    /// # Errors
    /// As [`start`](Self::start), but for [`Error::Stopped`], and when the drain does not finish in time.
    pub async fn run(self) -> Result<()> {
        let service = if self.arguments { self.answered() } else { self };
        if let Some(awaited) = service.awaited()? {
            return service.serve(awaited).await;
        }
        let signals = service.signals();
        match service.begin(signals).await {
            Ok(running) => running.wait().await,
            Err(Error::Stopped { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn signals(&self) -> Signals {
        if self.signals { Signals::listen(&self.name) } else { Signals::ignored() }
    }

    fn setting_of(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    fn awaited(&self) -> Result<Option<Awaited>> {
        Awaited::from_lookup(|name| self.setting_of(name))
    }

    /// Runs in a shadow, to its end. Nothing is opened, no broker is asked for, and no telemetry leaves.
    fn serve(self, awaited: Awaited) -> impl Future<Output = Result<()>> + Send + 'static {
        let contract = self.contract();
        let Self { name, definitions, stubs, .. } = self;
        let parts = shadow::Parts { contract, definitions, stubs };
        async move { shadow::serve(&name, awaited, parts).await }
    }

    async fn begin(mut self, signals: Signals) -> Result<Running> {
        let contract = self.contract()?;
        let lookup = |name: &str| self.setting_of(name);
        #[cfg(feature = "faults")]
        crate::runtime::faults::arm(lookup)?;
        let config = Config::from_lookup(lookup)?;
        let broker = ConnectSettings::from_lookup(lookup)?;
        for opener in self.openers {
            let opening = open(&self.name, opener, &mut self.states);
            signals.unless_stopped(&self.name, opening).await?;
        }
        let blueprint = Blueprint {
            contract,
            definitions: self.definitions,
            states: Arc::new(self.states),
            version: self.version,
            cloud_events: self.cloud_events,
            telemetry: self.telemetry,
            broker,
        };
        Running::start(blueprint, config, signals).await
    }
}

async fn open(service: &str, opener: Opener, states: &mut States) -> Result<()> {
    let state = opener.name;
    opener.open(states).await.map_err(|error| match error.downcast() {
        Ok(error) => *error,
        Err(error) => {
            Error::State { service: service.to_owned(), state, reason: error_chain(error.as_ref()) }
        }
    })
}
