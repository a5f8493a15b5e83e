mod choreography;
mod settings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::future::join_all;
use laban_testkit::{Broker, Process, ProcessBuilder, wait};
use laban_wire::FlowReader;
use tempfile::TempDir;

pub use self::settings::Settings;
use crate::mesh::choreography::undeclared;
use crate::traces::Traces;
use crate::{Door, Error, History, Service};

/// Five processes and a broker on two cores that compile something else meanwhile.
const READY: Duration = Duration::from_secs(60);
/// How long a service may take to drain.
const DRAIN: Duration = Duration::from_secs(30);

/// The shop, running: five processes and what was started beside them, their broker, and what takes their spans. All are killed on drop.
#[derive(Debug)]
pub struct Mesh {
    // Fields are dropped in order: first those who talk, then those they talk to.
    services: BTreeMap<Service, Process>,
    beside: BTreeMap<String, Process>,
    traces: Traces,
    broker: Broker,
    url: Option<String>,
    logs: PathBuf,
    ack_wait: Duration,
    env: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Mesh {
    /// Starts a broker, what takes the spans, and the five services, and waits until the choreography is complete.
    ///
    /// # Errors
    /// When a part cannot be started or had, or a service ends by itself.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        let mut mesh = Self::without_services(settings).await?;
        mesh.start_services().await?;
        Ok(mesh)
    }

    /// Starts all but the services.
    ///
    /// # Errors
    /// When a part cannot be started or had.
    pub async fn without_services(settings: Settings) -> Result<Self, Error> {
        let Settings { broker, url, traces, logs, ack_wait, env } = settings;
        let folder = tempfile::Builder::new()
            .prefix("laban-shop-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let logs = logs.unwrap_or_else(|| folder.path().join("logs"));
        std::fs::create_dir_all(&logs).map_err(Error::io(format!("create {}", logs.display())))?;
        let broker = async {
            match broker {
                Some(broker) => Ok(broker),
                None => Ok(Broker::start().await?),
            }
        };
        let (broker, traces) = tokio::try_join!(broker, Traces::start(traces))?;
        let (services, beside) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { services, beside, traces, broker, url, logs, ack_wait, env, folder })
    }

    /// Starts the services, and waits until the choreography is complete.
    ///
    /// # Errors
    /// When a program is not built, or a service ends by itself.
    pub async fn start_services(&mut self) -> Result<(), Error> {
        for service in Service::ALL {
            self.start_service(service)?;
        }
        self.ready().await
    }

    /// Starts one service; one that runs is killed first.
    ///
    /// # Errors
    /// When its program is not built.
    pub fn start_service(&mut self, service: Service) -> Result<(), Error> {
        let program = service.program()?;
        self.services.remove(&service);
        if service == Service::Order {
            // The address of a process that is gone.
            match std::fs::remove_file(self.door_file()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove an old address")(error));
                }
                _ => {}
            }
        }
        let process = self.process_of(program, service.name()).spawn()?;
        self.services.insert(service, process);
        Ok(())
    }

    /// Starts one more program beside the five: in their environment, with these variables over it, under a name that is also
    /// that of its log. One of that name that runs is killed first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_beside(&mut self, name: &str, program: PathBuf, env: &[(&str, &str)]) -> Result<(), Error> {
        self.beside.remove(name);
        let process = self.process_of(program, name);
        let process = env.iter().fold(process, |process, (variable, value)| process.env(variable, value));
        self.beside.insert(name.to_owned(), process.spawn()?);
        Ok(())
    }

    /// Asks a program beside the five to end, and waits until it has drained.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop_beside(&mut self, name: &str) -> Result<Option<ExitStatus>, Error> {
        match self.beside.remove(name) {
            Some(process) => Ok(Some(process.stop(DRAIN).await?)),
            None => Ok(None),
        }
    }

    fn process_of(&self, program: PathBuf, name: &str) -> ProcessBuilder {
        let process = Process::builder(program)
            .name(name)
            .log_file(self.logs.join(format!("{name}.log")))
            // What the user's shell says about brokers and collectors is not meant for this mesh.
            .env_remove_prefixed(&["NATS_", "OTEL_", "LABAN_", "SHOP_"])
            .env("NATS_URL", self.url())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.traces.endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            // Jaeger takes no metrics.
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_BSP_SCHEDULE_DELAY", "200")
            .env("LABAN_ACK_WAIT_MS", self.ack_wait.as_millis().to_string())
            .env("LABAN_HTTP_ADDR", "127.0.0.1:0")
            .env("SHOP_HTTP_ADDR", "127.0.0.1:0")
            .env("SHOP_HTTP_ADDR_FILE", self.door_file())
            .env("SHOP_BOOKS_DIR", self.books());
        self.env.iter().fold(process, |process, (name, value)| process.env(name, value))
    }

    /// Waits until all services have declared what they react to, and orders are taken.
    ///
    /// # Errors
    /// When a service ends by itself, or it takes too long.
    pub async fn ready(&self) -> Result<(), Error> {
        let client = self.client().await?;
        let mut missing = Vec::new();
        let ready = wait::until("the choreography to be complete", READY, async || {
            missing = undeclared(&client).await;
            self.check().is_err() || (missing.is_empty() && self.door().url().is_some())
        });
        let ready = ready.await;
        self.check()?;
        ready.map(drop).map_err(|_| {
            let missing = if missing.is_empty() { vec!["order's HTTP address".to_owned()] } else { missing };
            let what = format!("the choreography to be complete; missing: {}", missing.join(", "));
            laban_testkit::Error::TimedOut { what, waited: READY }.into()
        })
    }

    /// Whether all services that were started still run.
    ///
    /// # Errors
    /// With the end of its log when one has ended by itself.
    pub fn check(&self) -> Result<(), Error> {
        let mut all = self.services.values().chain(self.beside.values());
        let ended = all.find_map(|process| Some((process, process.exit_status()?)));
        match ended {
            None => Ok(()),
            Some((process, status)) => Err(laban_testkit::Error::Exited {
                name: process.name().to_owned(),
                status,
                log: process.log_tail(20),
            }
            .into()),
        }
    }

    /// Kills a service as a crash would. It is not missed by [`check`](Self::check) until it is started again.
    pub fn kill_service(&mut self, service: Service) {
        if let Some(process) = self.services.remove(&service) {
            process.kill();
        }
    }

    /// Asks a service to end, and waits until it has drained.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop_service(&mut self, service: Service) -> Result<Option<ExitStatus>, Error> {
        match self.services.remove(&service) {
            Some(process) => Ok(Some(process.stop(DRAIN).await?)),
            None => Ok(None),
        }
    }

    /// Asks all services to end, and then the broker.
    ///
    /// # Errors
    /// With the end of its log when one does not end in time, or not well.
    pub async fn stop(mut self) -> Result<(), Error> {
        let beside = std::mem::take(&mut self.beside).into_values();
        let services: Vec<_> = std::mem::take(&mut self.services).into_values().chain(beside).collect();
        let stopped = join_all(services.iter().map(async |process| (process, process.stop(DRAIN).await)));
        for (process, status) in stopped.await {
            let status = status?;
            if !status.success() {
                let (name, log) = (process.name().to_owned(), process.log_tail(20));
                return Err(laban_testkit::Error::Exited { name, status, log }.into());
            }
        }
        Ok(self.broker.stop().await?)
    }

    /// A connection to the broker.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn client(&self) -> Result<async_nats::Client, Error> {
        let connecting = async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(self.url().split(',').map(str::to_owned).collect::<Vec<_>>());
        Ok(connecting.await?)
    }

    /// Where everybody connects to.
    pub fn url(&self) -> String {
        self.url.clone().unwrap_or_else(|| self.broker.url())
    }

    /// All that the streams hold now.
    ///
    /// # Errors
    /// When the broker cannot be reached, or a stream not be read to its end.
    pub async fn history(&self) -> Result<History, Error> {
        let client = self.client().await?;
        let reader = FlowReader::new(client.clone()).with_direct(self.client().await?);
        History::read(&client, reader).await
    }

    /// Where orders are placed.
    pub fn door(&self) -> Door {
        Door::in_file(self.door_file())
    }

    fn door_file(&self) -> PathBuf {
        self.folder.path().join("order.address")
    }

    /// The folder of the shop's books.
    pub fn books(&self) -> PathBuf {
        self.folder.path().join("books")
    }

    /// The folder of the services' logs.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The broker that it was given, or its own.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The broker, to stop or kill it.
    pub fn broker_mut(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// What takes the spans.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// A service's process, if it was started.
    pub fn process(&self, service: Service) -> Option<&Process> {
        self.services.get(&service)
    }

    /// The process of a program [beside](Self::start_beside) the five, if it was started.
    pub fn process_beside(&self, name: &str) -> Option<&Process> {
        self.beside.get(name)
    }
}
