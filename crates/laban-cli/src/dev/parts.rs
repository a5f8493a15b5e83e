use std::net::TcpListener;
use std::time::Duration;

use indicatif::ProgressBar;
use laban_testkit::tools::Tool;
use laban_testkit::{Broker, Error, Jaeger, Process};

use super::{Args, Place};
use crate::{Failure, terminal};

/// What is started.
pub(super) struct Parts {
    broker: Broker,
    jaeger: Option<Jaeger>,
}

/// The usual ports.
const MONITOR: u16 = 8222;
const UI: u16 = 16686;
const OTLP_GRPC: u16 = 4317;
const OTLP_HTTP: u16 = 4318;
/// How often is looked whether a part still runs.
const LOOK: Duration = Duration::from_millis(100);

impl Parts {
    pub(super) async fn start(args: &Args, place: &Place) -> Result<Self, Failure> {
        check_ports(args)?;
        find(Tool::NatsServer).await?;
        let with_jaeger = match args.no_jaeger {
            true => false,
            false => match find(Tool::Jaeger).await {
                Ok(()) => true,
                Err(Error::NoTool { why, .. }) => {
                    terminal::say(&format!("no Jaeger: {why}"));
                    false
                }
                Err(error) => return Err(error.into()),
            },
        };
        let broker = start_broker(args, place);
        if !with_jaeger {
            return Ok(Self { broker: broker.await?, jaeger: None });
        }
        let mut jaeger = Jaeger::builder();
        if args.port != 0 {
            jaeger = jaeger.ui_port(UI).otlp_grpc_port(OTLP_GRPC).otlp_http_port(OTLP_HTTP);
        }
        let (broker, jaeger) = tokio::try_join!(broker, jaeger.start())?;
        Ok(Self { broker, jaeger: Some(jaeger) })
    }

    /// Addresses to standard error, the environment to standard output.
    pub(super) fn announce(&self, place: &Place) -> Result<(), Failure> {
        let (url, monitor) = (self.broker.url(), self.broker.monitor_url());
        terminal::say(&format!("broker   {url}  monitoring {monitor}  pid {}", self.broker.pid()));
        let kept = if place.store.is_some() { "kept" } else { "until the end" };
        terminal::say(&format!("streams  {}  {kept}", self.broker.store_dir().display()));
        let mut exports = format!("export NATS_URL={url}\n");
        if let Some(jaeger) = &self.jaeger {
            terminal::say(&format!("Jaeger   {}  pid {}", jaeger.ui_url(), jaeger.process().pid()));
            exports += &format!("export OTEL_EXPORTER_OTLP_ENDPOINT={}\n", jaeger.otlp_grpc_url());
            exports += "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc\n";
        }
        terminal::say("\nfor the services' environment:");
        terminal::print(&exports)?;
        terminal::say("\nCtrl-C stops everything");
        Ok(())
    }

    /// Comes back when a part has ended by itself, and says which.
    pub(super) async fn died(&self) -> Failure {
        loop {
            for process in self.processes() {
                if let Some(status) = process.exit_status() {
                    return Failure::NotDone(format!(
                        "{} ended by itself ({status}); its log ends with:\n{}",
                        process.name(),
                        process.log_tail(20)
                    ));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(self.broker.process()).chain(self.jaeger.as_ref().map(Jaeger::process))
    }

    pub(super) async fn stop(&mut self) -> Result<(), Failure> {
        let jaeger = async {
            match &mut self.jaeger {
                Some(jaeger) => jaeger.stop().await,
                None => Ok(()),
            }
        };
        let (broker, jaeger) = tokio::join!(self.broker.stop(), jaeger);
        Ok(broker.and(jaeger)?)
    }
}

async fn start_broker(args: &Args, place: &Place) -> Result<Broker, Error> {
    let mut broker = Broker::builder();
    if args.port != 0 {
        broker = broker.port(args.port);
        if is_free(MONITOR) {
            broker = broker.monitor_port(MONITOR);
        }
    }
    if let Some(store) = &place.store {
        broker = broker.store_dir(store);
    }
    broker.start().await
}

/// Looks before anything is started, so that the message can say what to do.
fn check_ports(args: &Args) -> Result<(), Failure> {
    let port = args.port;
    if port == 0 {
        return Ok(());
    }
    if !is_free(port) {
        return Err(Failure::NotDone(format!(
            "port {port} is taken. If that is a broker, use it: export NATS_URL=nats://127.0.0.1:{port}. Otherwise give \
             another port with --port, or --port 0 for free ones"
        )));
    }
    let taken = [UI, OTLP_GRPC, OTLP_HTTP].into_iter().find(|port| !is_free(*port));
    match taken {
        Some(port) if !args.no_jaeger => Err(Failure::NotDone(format!(
            "port {port}, which Jaeger needs, is taken. If that is a Jaeger, go on with it: --no-jaeger. Otherwise take \
             free ports: --port 0"
        ))),
        _ => Ok(()),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Finds a program; on a terminal its last words are shown while that takes its time.
async fn find(tool: Tool) -> Result<(), Error> {
    let looking = tokio::task::spawn_blocking(move || {
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(200));
        let found = tool.find(|line| spinner.set_message(line.to_owned()));
        spinner.finish_and_clear();
        found.map(drop)
    });
    match looking.await {
        Ok(found) => found,
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}
