//! How a broker is to be.

use std::path::PathBuf;

use super::launch::Ports;
use crate::tools::Tool;
use crate::{Broker, Error, ports};

/// How to start a [`Broker`]: see [`Broker::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) port: Option<u16>,
    pub(super) monitor_port: Option<u16>,
    pub(super) store_dir: Option<PathBuf>,
    pub(super) log_file: Option<PathBuf>,
    pub(super) config: String,
    pub(super) max_payload: Option<usize>,
    pub(super) jetstream: bool,
    pub(super) sync_always: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            port: None,
            monitor_port: None,
            store_dir: None,
            log_file: None,
            config: String::new(),
            max_payload: None,
            jetstream: true,
            sync_always: false,
        }
    }

    /// Listens on this port; otherwise on a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Serves monitoring on this port; otherwise on a free one.
    #[must_use]
    pub fn monitor_port(mut self, port: u16) -> Self {
        self.monitor_port = Some(port);
        self
    }

    /// Keeps streams in this folder, which stays; otherwise in a temporary one that goes with the broker.
    #[must_use]
    pub fn store_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.store_dir = Some(dir.into());
        self
    }

    /// Appends the server's log to this file; otherwise to a temporary one that goes with the broker.
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.log_file = Some(path.into());
        self
    }

    /// Adds text to the server's configuration. Address, ports and store are set by flags, which win over it.
    #[must_use]
    pub fn config(mut self, text: impl AsRef<str>) -> Self {
        self.config.push_str(text.as_ref());
        self.config.push('\n');
        self
    }

    /// Sets the largest payload in bytes; the server's default is 1 MiB.
    #[must_use]
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = Some(bytes);
        self
    }

    /// Switches JetStream off or on; it is on.
    #[must_use]
    pub fn jetstream(mut self, on: bool) -> Self {
        self.jetstream = on;
        self
    }

    /// Writes every message through to the disk before it is acknowledged (`sync_interval: always`), so that what was
    /// acknowledged outlives the machine; otherwise it outlives the server's process, and the disk follows within minutes.
    ///
    /// A `jetstream` block in the [`config`](Self::config) text would take the place of this setting, so it has to have
    /// it too.
    #[must_use]
    pub fn sync_always(mut self) -> Self {
        self.sync_always = true;
        self
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`Error::NoTool`] if there is no nats-server, [`Error::Exited`] with the server's own words if it refuses
    /// its configuration, [`Error::Late`] if it does not become ready, [`Error::Overruled`] if a setting is not what
    /// was asked for.
    pub async fn start(self) -> Result<Broker, Error> {
        let program = Tool::NatsServer.find_async().await?;
        ports::on_free_ports(async || {
            let broker = Broker::spawn(self.clone(), program.clone(), Ports::pick(&self)?, None)?;
            broker.until_ready().await.map(|()| broker)
        })
        .await
    }
}
