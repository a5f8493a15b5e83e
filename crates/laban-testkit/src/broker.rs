//! A real nats-server per test.

mod builder;
mod launch;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::builder::Builder;
use self::launch::Place;
pub(crate) use self::launch::{Node, Ports};
use crate::{Error, Process, http};

/// How long a server may take to end by itself.
const STOP: Duration = Duration::from_secs(10);

/// A real nats-server on 127.0.0.1, with a port and a store of its own; killed on drop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use laban_testkit::Broker;
///
/// let mut broker = Broker::start().await?;
/// let client = async_nats::connect(broker.url()).await?;
/// client.publish("greetings", "hello".into()).await?;
/// client.flush().await?;
///
/// broker.kill();                // as a crash would
/// broker.start_again().await?;  // same port, same store
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker {
    settings: Builder,
    /// What it is in a cluster, if it is in one.
    node: Option<Node>,
    ports: Ports,
    process: Process,
    // After the process: fields are dropped in order, and it writes in there.
    place: Place,
}

impl Broker {
    /// Starts a broker with JetStream, a free port and a temporary store.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Begins the description of a broker.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts a server that is not ready yet: see [`until_ready`](Self::until_ready).
    pub(crate) fn spawn(
        settings: Builder,
        program: PathBuf,
        mut ports: Ports,
        mut node: Option<Node>,
    ) -> Result<Self, Error> {
        let place = Place::new(&settings, program)?;
        let process = launch::spawn(&settings, &place, &mut ports, node.as_mut())?;
        Ok(Self { settings, node, ports, process, place })
    }

    /// Waits until it serves clients; one that stands alone also until all its streams are there.
    pub(crate) async fn until_ready(&self) -> Result<(), Error> {
        launch::ready(self).await
    }

    /// What a client connects to; stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// The address of [`url`](Self::url).
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()))
    }

    /// The client port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.client.number()
    }

    /// The monitoring endpoint: `/healthz`, `/varz`, `/jsz` …
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.monitor_address())
    }

    fn monitor_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.monitor.number())
    }

    /// What its monitoring endpoint says at this path, if it is well.
    pub(crate) async fn monitor(&self, path: &str) -> Option<serde_json::Value> {
        http::json(&self.monitor_address(), path).await
    }

    /// The folder with the streams.
    #[must_use]
    pub fn store_dir(&self) -> &Path {
        &self.place.store
    }

    /// The process id of the server that was started last.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The process itself, to freeze it for example.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The last lines of its log.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.log_tail(50)
    }

    /// Asks the server to end, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] if it did not end by itself and had to be killed.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Kills the server, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a stopped or killed server on the same port and store, and waits until it is ready; a running one is killed first.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.process.kill();
        self.process = launch::spawn(&self.settings, &self.place, &mut self.ports, self.node.as_mut())?;
        self.until_ready().await
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Errors
    ///
    /// As both.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.start_again().await
    }
}
