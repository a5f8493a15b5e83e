//! SIGTERM and Ctrl-C.
//!
//! From the first moment of a start they belong to the service, for good: the runtime cannot give back a signal that it has
//! once listened for. So whatever becomes of the service, a signal must end the process. The first one stops the service,
//! wherever it is; the process ends at the next one, and when nobody is there to wait for the stop.

use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Error, Result};

/// How long a program that does not wait for its services has, from the signal on, to do so after all.
const UNAWAITED: Duration = Duration::from_secs(5);

/// The services of this process that listen. A signal reaches all of them.
static SERVICES: LazyLock<watch::Sender<Services>> = LazyLock::new(watch::Sender::default);

#[derive(Default)]
struct Services {
    alive: usize,
    /// Those that are starting, or that somebody waits for.
    awaited: usize,
}

#[derive(Clone, Copy)]
enum Signal {
    Terminate,
    Interrupt,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "Ctrl-C",
        }
    }

    /// Ends the process, with the code by which a shell tells the signal.
    fn end(self, service: &str, why: &str) -> ! {
        tracing::warn!(service, signal = self.name(), "{why}: ending without draining");
        std::process::exit(match self {
            Self::Terminate => 143,
            Self::Interrupt => 130,
        })
    }
}

/// A service's ear for signals.
pub(crate) struct Signals {
    /// Cancelled by the first signal, and by whatever else stops the service.
    pub(crate) stop: CancellationToken,
    heard: Arc<OnceLock<Signal>>,
    /// Nothing for a program that keeps its signals to itself.
    listening: Option<Listening>,
}

struct Listening {
    awaited: bool,
    _gone: DropGuard,
}

impl Signals {
    /// Leaves them to the program.
    pub(crate) fn ignored() -> Self {
        Self { stop: CancellationToken::new(), heard: Arc::default(), listening: None }
    }

    /// Listens from now on. Somebody waits for this service, until the contrary is said.
    pub(crate) fn listen(service: &str) -> Self {
        let mut signals = Self::ignored();
        let gone = CancellationToken::new();
        let ear = Ear {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
            service: service.to_owned(),
        };
        SERVICES.send_modify(|services| {
            services.alive += 1;
            services.awaited += 1;
        });
        tokio::spawn(ear.listen(signals.stop.clone(), Arc::clone(&signals.heard), gone.clone()));
        signals.listening = Some(Listening { awaited: true, _gone: gone.drop_guard() });
        signals
    }

    /// Whether somebody is there to see to an orderly end.
    pub(crate) fn await_stop(&mut self, awaited: bool) {
        if let Some(listening) = &mut self.listening
            && std::mem::replace(&mut listening.awaited, awaited) != awaited
        {
            SERVICES.send_modify(|services| {
                services.awaited = services.awaited + usize::from(awaited) - usize::from(!awaited);
            });
        }
    }

    /// Does what a start waits for, unless a signal comes before it is done.
    pub(crate) async fn unless_stopped<T>(
        &self,
        service: &str,
        starting: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                let signal = self.heard.get().map_or("the program", |signal| signal.name());
                Err(Error::Stopped { service: service.to_owned(), signal })
            }
            started = starting => started,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.await_stop(false);
        if self.listening.is_some() {
            SERVICES.send_modify(|services| services.alive -= 1);
        }
    }
}

/// What hears the signals of one service.
struct Ear {
    terminate: Option<Stream>,
    interrupt: Option<Stream>,
    service: String,
}

impl Ear {
    async fn listen(
        mut self,
        stop: CancellationToken,
        heard: Arc<OnceLock<Signal>>,
        gone: CancellationToken,
    ) {
        let first = tokio::select! {
            signal = self.hear() => Some(signal),
            () = stop.cancelled() => None,
            () = gone.cancelled() => None,
        };
        if let Some(signal) = first {
            tracing::info!(service = self.service, signal = signal.name(), "stopping");
            let _ = heard.set(signal);
            stop.cancel();
        }
        let mut services = SERVICES.subscribe();
        let unawaited = async {
            match first {
                Some(signal) => {
                    nobody_waits(&mut services).await;
                    signal
                }
                // A program that stops its service itself is at work on its end.
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            again = self.hear() => again.end(&self.service, "again"),
            signal = unawaited => signal.end(&self.service, "nobody waits for the service to stop"),
            () = gone.cancelled() => {}
        }
        // The service is no more. What others of this process are told is theirs to answer.
        tokio::select! {
            last = self.hear() => last.end(&self.service, "the service has ended"),
            _ = services.wait_for(|services| services.alive > 0) => {}
        }
    }

    /// The next one. Never, where there are none.
    async fn hear(&mut self) -> Signal {
        async fn next(stream: &mut Option<Stream>) {
            match stream {
                // It ends with the runtime.
                Some(stream) => drop(stream.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = next(&mut self.terminate) => Signal::Terminate,
            () = next(&mut self.interrupt) => Signal::Interrupt,
        }
    }
}

/// Completes when nobody has waited for any service for a while.
async fn nobody_waits(services: &mut watch::Receiver<Services>) {
    loop {
        let _ = services.wait_for(|services| services.awaited == 0).await;
        if tokio::time::timeout(UNAWAITED, services.wait_for(|services| services.awaited > 0)).await.is_err()
        {
            return;
        }
    }
}
