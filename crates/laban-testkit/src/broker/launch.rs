//! From settings to a server that is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::{Broker, Builder};
use crate::ports::Port;
use crate::{Error, Process, http};

/// A loaded machine with a large store to recover may need a while; a healthy start takes some 50 ms.
const START: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(super) client: Port,
    pub(super) monitor: Port,
}

impl Ports {
    pub(crate) fn pick(settings: &Builder) -> Result<Self, Error> {
        Ok(Self { client: Port::wanted(settings.port)?, monitor: Port::wanted(settings.monitor_port)? })
    }
}

/// What makes a server a node of a cluster.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) route: Port,
    /// The route ports of the others.
    pub(crate) others: Vec<u16>,
    pub(crate) advertise: bool,
}

/// What stays the same over restarts.
#[derive(Debug)]
pub(super) struct Place {
    program: PathBuf,
    dir: TempDir,
    pub(super) store: PathBuf,
    log: PathBuf,
}

impl Place {
    pub(super) fn new(settings: &Builder, program: PathBuf) -> Result<Self, Error> {
        let dir = tempfile::Builder::new()
            .prefix("laban-broker-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let store = settings.store_dir.clone().unwrap_or_else(|| dir.path().join("store"));
        let log = settings.log_file.clone().unwrap_or_else(|| dir.path().join("nats-server.log"));
        Ok(Self { program, dir, store, log })
    }
}

/// Starts the server, which is not ready yet then. What is set by flags wins over any configuration text.
pub(super) fn spawn(
    settings: &Builder,
    place: &Place,
    ports: &mut Ports,
    node: Option<&mut Node>,
) -> Result<Process, Error> {
    let config = place.dir.path().join("nats.conf");
    std::fs::write(&config, configuration(settings))
        .map_err(Error::io(format!("write {}", config.display())))?;
    let mut server = Process::builder(&place.program)
        .arg("--config")
        .arg(&config)
        .args(["--addr", "127.0.0.1", "--port", &ports.client.number().to_string()])
        .args(["--http_port", &ports.monitor.number().to_string()])
        .arg("--store_dir")
        .arg(&place.store)
        .name("nats-server")
        .log_file(&place.log);
    if let Some(node) = node {
        let others: Vec<String> = node.others.iter().map(|port| route(*port)).collect();
        server = server
            .name(format!("nats-server {}", node.name))
            .args(["--server_name", &node.name, "--cluster_name", "laban"])
            .args(["--cluster_listen", &route(node.route.number()), "--routes", &others.join(",")])
            .args((!node.advertise).then_some("--no_advertise"));
        node.route.let_in();
    }
    ports.client.let_in();
    ports.monitor.let_in();
    server.spawn()
}

fn route(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

fn configuration(settings: &Builder) -> String {
    let mut text = String::new();
    if settings.jetstream {
        text.push_str(match settings.sync_always {
            true => "jetstream { sync_interval: always }\n",
            false => "jetstream: enabled\n",
        });
    }
    if let Some(bytes) = settings.max_payload {
        let _ = writeln!(text, "max_payload: {bytes}");
    }
    text.push_str(&settings.config);
    text
}

/// Waits until clients are served, and what was set is so.
pub(super) async fn ready(broker: &Broker) -> Result<(), Error> {
    // A node alone is never healthy in full, but that is no reason not to wait for it alone.
    let health = match broker.node {
        None => "/healthz",
        Some(_) => "/healthz?js-server-only=true",
    };
    let monitor = broker.monitor_address();
    let is_ready = async || greets(broker.addr()).await && http::is_ok(&monitor, health).await;
    broker.process.until("become ready", START, is_ready).await?;

    // A block of the same name in the configuration text takes the place of the whole of ours.
    if broker.settings.jetstream && broker.settings.sync_always {
        let listed = http::json(&monitor, "/jsz").await.unwrap_or_default();
        if listed["config"]["sync_always"] != true {
            return Err(Error::Overruled {
                setting: "sync_always",
                by: "the `jetstream` block in the configuration text",
            });
        }
    }
    Ok(())
}

/// A server that takes clients says INFO first.
async fn greets(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(address).await else {
        return false;
    };
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
}
