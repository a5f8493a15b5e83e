//! A real Prometheus per test.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::tools::Tool;
use crate::{Error, Process, http, ports};

/// A healthy start takes less than a second.
const START: Duration = Duration::from_secs(30);
/// How long Prometheus may take to end by itself.
const STOP: Duration = Duration::from_secs(10);

/// A real Prometheus on 127.0.0.1, with a port and a store of its own, and with exemplars kept; killed on drop.
///
/// ```no_run
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), laban_testkit::Error> {
/// use laban_testkit::Prometheus;
///
/// let prometheus = Prometheus::start("prometheus.yml").await?;
/// println!("{}/api/v1/query?query=up", prometheus.url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    process: Process,
    // After the process: fields are dropped in order, and it writes in there.
    _store: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus with this configuration, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`Error::NoTool`] if there is none, [`Error::Exited`] with its own words if it refuses the configuration,
    /// [`Error::Late`] if it does not become ready.
    pub async fn start(config: impl AsRef<Path>) -> Result<Self, Error> {
        let program = Tool::Prometheus.find_async().await?;
        let store = tempfile::Builder::new()
            .prefix("laban-prometheus-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        // Prometheus cannot say which port it took, so someone may take one between finding it and using it: then once
        // more.
        let (process, port) = ports::on_free_ports(async || {
            let free = || TcpListener::bind(("127.0.0.1", 0))?.local_addr();
            let port = free().map_err(Error::io("find a free port"))?.port();
            launch(&program, config.as_ref(), store.path(), port).await.map(|process| (process, port))
        })
        .await?;
        Ok(Self { port, process, _store: store })
    }

    /// Its page, and its API under `/api/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
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

    /// Asks Prometheus to end, and waits until it has. What it has scraped is gone then.
    ///
    /// # Errors
    ///
    /// [`Error::Late`] if it did not end by itself and had to be killed.
    pub async fn stop(self) -> Result<(), Error> {
        self.process.stop(STOP).await.map(drop)
    }
}

async fn launch(program: &Path, config: &Path, store: &Path, port: u16) -> Result<Process, Error> {
    let address = format!("127.0.0.1:{port}");
    let process = Process::builder(program)
        .arg("--config.file")
        .arg(config)
        .arg("--storage.tsdb.path")
        .arg(store)
        .args(["--web.listen-address", &address])
        .args(["--enable-feature", "exemplar-storage", "--log.level", "warn"])
        .name("prometheus")
        .spawn()?;
    process.until("become ready", START, async || http::is_ok(&address, "/-/ready").await).await?;
    Ok(process)
}
