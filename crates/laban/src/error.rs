/// Any error of a service author's own code.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result with Laban's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a service did not start, or an event was not taken.
///
/// Its `Debug` is its `Display`, so that a `main` that returns it says what to do and not how it is made.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker cannot be reached, or refused us.
    #[error(transparent)]
    Connect(#[from] laban_wire::ConnectError),
    /// An environment variable that cannot be used.
    #[error("{name}={value}: {reason}")]
    Config {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it, and what would do.
        reason: String,
    },
    /// The service's own code does not fit together: found before anything is started.
    #[error("service {service}: {reason}")]
    Contract {
        /// The service.
        service: String,
        /// What does not fit, and how to mend it.
        reason: String,
    },
    /// A state that is opened at the start ([`Service::state_with`](crate::Service::state_with)) cannot be.
    #[error("service {service}: its state {state} cannot be opened: {reason}")]
    State {
        /// The service.
        service: String,
        /// The state's type.
        state: &'static str,
        /// Why.
        reason: String,
    },
    /// The service's events have changed in a way that breaks who reads them, and kept their version.
    #[error("service {service}: {reason}")]
    Breaking {
        /// The service.
        service: String,
        /// What has changed, and how to mend it.
        reason: String,
        /// The same, for a program to look at.
        broken: Vec<laban_wire::compatibility::BrokenEvent>,
    },
    /// The broker is not what the service needs: its version, its streams, its answers.
    #[error("service {service}: {reason}")]
    Broker {
        /// The service.
        service: String,
        /// What is wrong, and how to mend it.
        reason: String,
    },
    /// A signal came before the service had started. Nothing was begun: a program that starts a service by hand may end as
    /// if all were well, which [`Service::run`](crate::Service::run) does.
    #[error("service {service}: stopped by {signal} before it had started")]
    Stopped {
        /// The service.
        service: String,
        /// Which signal.
        signal: &'static str,
    },
    /// The service cannot be run in a shadow, or the shadow ended before its time (`laban replay shadow`).
    #[error("service {service}: not run in a shadow: {reason}")]
    Shadow {
        /// The service.
        service: String,
        /// Why, and how to mend it.
        reason: String,
    },
    /// Telemetry could not be set up.
    #[error("telemetry: {0}")]
    Telemetry(String),
    /// An event that cannot be written, now or ever.
    #[error("{event} not taken: {reason}")]
    NotTaken {
        /// The event's type.
        event: &'static str,
        /// Why.
        reason: String,
        /// Whether trying again may help: the broker was away, rather than the event at fault.
        transient: bool,
    },
    /// What the program runs beside its handlers ([`Running::spawn`](crate::Running::spawn)) failed.
    #[error("service {service}: stopped: {reason}")]
    Beside {
        /// The service.
        service: String,
        /// Why.
        reason: String,
    },
    /// The drain came to its deadline with work unfinished. The broker delivers events again to another instance.
    #[error(
        "service {service}: {unfinished} deliveries or other tasks were still at work {after_ms} ms after the stop"
    )]
    Drain {
        /// The service.
        service: String,
        /// Deliveries and other tasks not finished.
        unfinished: usize,
        /// The deadline.
        after_ms: u128,
    },
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
