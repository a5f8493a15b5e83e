//! From settings to a server that is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::Builder;
use crate::{Error, Process, http};

/// A loaded machine with a large store to recover may need a while; a healthy start takes some 50 ms.
const START: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) client: u16,
    pub(super) monitor: u16,
}

/// What stays the same over restarts.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) dir: TempDir,
    pub(super) store: PathBuf,
    pub(super) log: PathBuf,
}

/// Starts the server and waits until it is ready; on the ports it had `before`, if any.
pub(super) async fn launch(
    settings: &Builder,
    place: &Place,
    before: Option<Ports>,
) -> Result<(Process, Ports), Error> {
    let dir = place.dir.path();
    let config = dir.join("nats.conf");
    std::fs::write(&config, configuration(settings))
        .map_err(Error::io(format!("write {}", config.display())))?;
    // -1 lets the server pick a free port: nobody can take it in between. Flags win over any configuration text.
    let number = |port: Option<u16>| port.map_or("-1".to_owned(), |port| port.to_string());
    let client = before.map(|p| p.client).or(settings.port);
    let monitor = before.map(|p| p.monitor).or(settings.monitor_port);
    let process = Process::builder(&place.program)
        .arg("--config")
        .arg(&config)
        .args(["--addr", "127.0.0.1", "--port", &number(client)])
        .args(["--http_port", &number(monitor)])
        .arg("--store_dir")
        .arg(&place.store)
        .arg("--ports_file_dir")
        .arg(dir)
        .name("nats-server")
        .log_file(&place.log)
        .spawn()?;

    let ports_file = dir.join(format!("nats-server_{}.ports", process.pid()));
    let mut found = None;
    process
        .until("become ready", START, async || {
            found = found.or_else(|| read_ports(&ports_file));
            match found {
                Some(ports) => greets(ports.client).await && is_healthy(ports.monitor).await,
                None => false,
            }
        })
        .await?;
    let ports = found.expect("ready only with ports");
    Ok((process, ports))
}

fn configuration(settings: &Builder) -> String {
    let mut text = String::new();
    if settings.jetstream {
        text.push_str("jetstream: enabled\n");
    }
    if let Some(bytes) = settings.max_payload {
        let _ = writeln!(text, "max_payload: {bytes}");
    }
    text.push_str(&settings.config);
    text
}

/// The file the server writes once it listens: `{"nats": ["nats://127.0.0.1:4222"], "monitoring": ["http://…"]}`.
fn read_ports(path: &Path) -> Option<Ports> {
    let text = std::fs::read(path).ok()?;
    let listed: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let port = |kind: &str| -> Option<u16> {
        let url = listed.get(kind)?.get(0)?.as_str()?;
        url.rsplit(':').next()?.parse().ok()
    };
    Some(Ports { client: port("nats")?, monitor: port("monitoring")? })
}

/// A server that takes clients says INFO first.
async fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await else {
        return false;
    };
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.is_ok() && line.starts_with("INFO ")
}

/// With JetStream on, healthy means that all streams and consumers are recovered.
async fn is_healthy(port: u16) -> bool {
    http::is_ok(&format!("127.0.0.1:{port}"), "/healthz").await
}
