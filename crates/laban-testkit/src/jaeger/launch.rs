//! From settings to a Jaeger that is ready.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::Builder;
use crate::{Error, Process, http, ports};

const CONFIG: &str = include_str!("../../../../deploy/local/jaeger.yaml");
/// A healthy start takes some 200 ms.
const START: Duration = Duration::from_secs(30);

/// Where Jaeger listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) ui: u16,
    pub(super) query_grpc: u16,
    pub(super) otlp_grpc: u16,
    pub(super) otlp_http: u16,
    pub(super) health: u16,
}

/// Jaeger cannot pick its ports itself, so someone may take one between finding it and using it: then once more.
pub(super) async fn on_free_ports(
    settings: &Builder,
    program: &Path,
    dir: &Path,
    log: &Path,
) -> Result<(Process, Ports), Error> {
    ports::on_free_ports(async || {
        let ports = pick(settings).map_err(Error::io("find free ports"))?;
        launch(program, dir, log, ports).await.map(|process| (process, ports))
    })
    .await
}

pub(super) async fn launch(program: &Path, dir: &Path, log: &Path, ports: Ports) -> Result<Process, Error> {
    let config = dir.join("jaeger.yaml");
    std::fs::write(&config, CONFIG).map_err(Error::io(format!("write {}", config.display())))?;
    let process = Process::builder(program)
        .arg("--config")
        .arg(&config)
        .env("JAEGER_UI_PORT", ports.ui.to_string())
        .env("JAEGER_QUERY_GRPC_PORT", ports.query_grpc.to_string())
        .env("JAEGER_OTLP_GRPC_PORT", ports.otlp_grpc.to_string())
        .env("JAEGER_OTLP_HTTP_PORT", ports.otlp_http.to_string())
        .env("JAEGER_HEALTH_PORT", ports.health.to_string())
        .name("jaeger")
        .log_file(log)
        .spawn()?;
    let health = format!("127.0.0.1:{}", ports.health);
    process.until("become ready", START, async || http::is_ok(&health, "/status").await).await?;
    Ok(process)
}

fn pick(settings: &Builder) -> std::io::Result<Ports> {
    // All held until all are known, so they differ.
    let mut held = Vec::new();
    let mut free = |wanted: Option<u16>| match wanted {
        Some(port) => Ok(port),
        None => {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok::<u16, std::io::Error>(port)
        }
    };
    Ok(Ports {
        ui: free(settings.ui)?,
        query_grpc: free(None)?,
        otlp_grpc: free(settings.otlp_grpc)?,
        otlp_http: free(settings.otlp_http)?,
        health: free(None)?,
    })
}
