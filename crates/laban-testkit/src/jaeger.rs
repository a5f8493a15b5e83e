//! A real Jaeger per test.

mod launch;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use self::launch::Ports;
use crate::tools::Tool;
use crate::{Error, Process};

/// How long Jaeger may take to end by itself.
const STOP: Duration = Duration::from_secs(10);

/// How to start a [`Jaeger`]: see [`Jaeger::builder`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    ui: Option<u16>,
    otlp_grpc: Option<u16>,
    otlp_http: Option<u16>,
    log_file: Option<PathBuf>,
}

impl Builder {
    /// Serves its page and API on this port; otherwise on a free one.
    #[must_use]
    pub fn ui_port(mut self, port: u16) -> Self {
        self.ui = Some(port);
        self
    }

    /// Takes OTLP over gRPC on this port; otherwise on a free one.
    #[must_use]
    pub fn otlp_grpc_port(mut self, port: u16) -> Self {
        self.otlp_grpc = Some(port);
        self
    }

    /// Takes OTLP over HTTP on this port; otherwise on a free one.
    #[must_use]
    pub fn otlp_http_port(mut self, port: u16) -> Self {
        self.otlp_http = Some(port);
        self
    }

    /// Appends Jaeger's log to this file; otherwise to a temporary one that goes with it.
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.log_file = Some(path.into());
        self
    }

    /// Starts Jaeger and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`Error::NoTool`] if there is none, [`Error::Exited`] if it does not start (a port given above is taken, for
    /// example), [`Error::Late`] if it does not become ready.
    pub async fn start(self) -> Result<Jaeger, Error> {
        let program = Tool::Jaeger.find_async().await?;
        let dir = tempfile::Builder::new()
            .prefix("laban-jaeger-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let log = self.log_file.clone().unwrap_or_else(|| dir.path().join("jaeger.log"));
        let (process, ports) = launch::on_free_ports(&self, &program, dir.path(), &log).await?;
        Ok(Jaeger { program, log, ports, process, dir })
    }
}

/// A real Jaeger v2 on 127.0.0.1 with its traces in memory and ports of its own; killed on drop.
///
/// A span can be read from its API as soon as the export of it was answered.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), laban_testkit::Error> {
/// use laban_testkit::{Jaeger, Process};
///
/// let jaeger = Jaeger::start().await?;
/// let service = Process::builder("target/debug/payment")
///     .env("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.otlp_grpc_url())
///     .spawn()?;
/// println!("{}/search?service={}", jaeger.ui_url(), service.name());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Jaeger {
    program: PathBuf,
    log: PathBuf,
    ports: Ports,
    process: Process,
    // After the process: fields are dropped in order, and it writes in there.
    dir: TempDir,
}

impl Jaeger {
    /// Starts a Jaeger on free ports.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Begins the description of a Jaeger.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where spans go by OTLP over gRPC.
    #[must_use]
    pub fn otlp_grpc_url(&self) -> String {
        url(self.ports.otlp_grpc)
    }

    /// Where spans go by OTLP over HTTP; the path `/v1/traces` comes after it.
    #[must_use]
    pub fn otlp_http_url(&self) -> String {
        url(self.ports.otlp_http)
    }

    /// Its page, and its API under `/api`.
    #[must_use]
    pub fn ui_url(&self) -> String {
        url(self.ports.ui)
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

    /// Asks Jaeger to end, and waits until it has. Its traces are gone then.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] if it did not end by itself and had to be killed.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Kills Jaeger, as a crash would. Its traces are gone then.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a stopped or killed Jaeger, empty, on the same ports; a running one is killed first.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start_again(&mut self) -> Result<(), Error> {
        self.process.kill();
        self.process = launch::launch(&self.program, self.dir.path(), &self.log, self.ports).await?;
        Ok(())
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
