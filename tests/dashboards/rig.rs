//! What is scraped, and who scrapes it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use demo::traces::{JaegerApi, Receiver, Traces};
use demo::{Service, Settings, program};
use laban_testkit::{Broker, Jaeger, Process, Prometheus, Proxy, tools, wait};
use laban_tests::{Outcome, Shop, note};
use tempfile::TempDir;

use crate::api::{Api, PATIENCE};
use crate::files::read;

/// Whether there is a Prometheus here. Says so if not; fails if there must be one.
pub(crate) async fn has_prometheus() -> Outcome<bool> {
    match tokio::task::spawn_blocking(tools::prometheus).await? {
        Ok(_) => Ok(true),
        Err(laban_testkit::Error::NoTool { why, .. })
            if std::env::var("LABAN_REQUIRE_PROMETHEUS").as_deref() != Ok("1") =>
        {
            note(&format!("skipped, no Prometheus: {why}"));
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The shop, with all that looks at it.
pub(crate) struct Rig {
    pub(crate) shop: Shop,
    pub(crate) api: Api,
    /// `laban metrics`.
    metrics: Watcher,
    /// Between the services and what takes their spans.
    pub(crate) spans: Proxy,
    pub(crate) traces: Traces,
    folder: TempDir,
}

impl Rig {
    /// Starts all of it.
    pub(crate) async fn start(broker: Broker) -> Outcome<Self> {
        let traces = traces().await?;
        let spans = Proxy::start(socket(&traces.endpoint())?).await?;
        let settings = Settings {
            broker: Some(broker),
            env: vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", spans.addr()))],
            ..Settings::default()
        };
        let shop = Shop::with(settings).await?;
        let broker = shop.mesh.broker();
        let metrics = Watcher::start(&broker.url(), &[broker.monitor_url()]).await?;
        let folder = tempfile::tempdir()?;
        write_targets(&folder, &shop, &metrics.address)?;
        let config = configure(folder.path())?;
        let api = Api { prometheus: Prometheus::start(config).await? };
        Ok(Self { shop, api, metrics, spans, traces, folder })
    }

    /// Tells Prometheus where everything is now.
    pub(crate) fn retarget(&self) -> Outcome {
        write_targets(&self.folder, &self.shop, &self.metrics.address)
    }

    /// Waits until a service's log has this in it.
    pub(crate) async fn says(&self, service: Service, text: &str) -> Outcome {
        let process = self.shop.mesh.process(service).ok_or("the service runs")?;
        until(&format!("{} to say {text:?}", service.name()), async || {
            process.log_tail(10_000).contains(text)
        })
        .await?;
        Ok(())
    }

    /// Waits until Prometheus has seen that an append of a service failed for this reason.
    pub(crate) async fn counts_failed_appends(&self, service: Service, reason: &str) -> Outcome {
        let service = service.name();
        let failed =
            format!("laban_appends_failed_total{{laban_service=\"{service}\", reason=\"{reason}\"}} > 0");
        until(&failed, async || self.api.count(&failed).await.is_ok_and(|found| found > 0)).await?;
        Ok(())
    }

    /// All that the services and `laban metrics` serve, as Prometheus' text format has it.
    pub(crate) async fn pages(&self) -> Outcome<Vec<String>> {
        let mut pages = Vec::new();
        let services = Service::ALL.into_iter().map(|service| self.shop.metrics_address(service));
        for address in services.chain([Ok(self.metrics.address.clone())]) {
            pages.push(reqwest::get(format!("http://{}/metrics", address?)).await?.text().await?);
        }
        Ok(pages)
    }
}

/// `laban metrics`, at work.
pub(crate) struct Watcher {
    pub(crate) address: String,
    _process: Process,
}

impl Watcher {
    pub(crate) async fn start(url: &str, monitors: &[String]) -> Outcome<Self> {
        let process = Process::builder(program("laban", "-p laban-cli")?)
            .env_remove_prefixed(&["NATS_", "LABAN_"])
            .args(["metrics", "--server", url, "--listen", "127.0.0.1:0"])
            .args(["--every", "1s", "--overdue", "3s", "--brokers", &monitors.join(",")])
            .spawn()?;
        let mut address = String::new();
        process
            .until("say where it serves", PATIENCE, async || {
                let log = process.log_tail(20);
                let found = log
                    .lines()
                    .find_map(|line| line.split("serving http://").nth(1)?.strip_suffix("/metrics"));
                address = found.unwrap_or_default().to_owned();
                !address.is_empty()
            })
            .await?;
        Ok(Self { address, _process: process })
    }
}

async fn traces() -> Outcome<Traces> {
    match tokio::task::spawn_blocking(tools::jaeger).await? {
        Ok(_) => {
            let jaeger = Jaeger::start().await?;
            let api = JaegerApi::new(jaeger.ui_url());
            Ok(Traces::Jaeger { jaeger, api })
        }
        Err(error) if std::env::var("LABAN_REQUIRE_JAEGER").as_deref() == Ok("1") => Err(error.into()),
        Err(error) => Ok(Traces::Receiver { receiver: Receiver::start()?, why: error.to_string() }),
    }
}

fn socket(url: &str) -> Outcome<SocketAddr> {
    Ok(url.trim_start_matches("http://").parse()?)
}

fn write_targets(folder: &TempDir, shop: &Shop, metrics: &str) -> Outcome {
    let running = Service::ALL.into_iter().filter(|service| shop.mesh.process(*service).is_some());
    let services: Vec<String> =
        running.map(|service| shop.metrics_address(service)).collect::<Outcome<_>>()?;
    write_list(&folder.path().join("laban-service.json"), &services)?;
    write_list(&folder.path().join("laban-metrics.json"), &[metrics.to_owned()])
}

/// Whole at once: Prometheus reads it as soon as it changes.
fn write_list(path: &Path, targets: &[String]) -> Outcome {
    let part = path.with_extension("part");
    std::fs::write(&part, serde_json::json!([{ "targets": targets }]).to_string())?;
    Ok(std::fs::rename(part, path)?)
}

/// The configuration that is deployed, but for the places of what is scraped, and for the time that it takes: everything
/// that is asked every 15 s is asked every second, looks back 15 s instead of minutes, and waits for nothing.
pub(crate) fn configure(folder: &Path) -> Outcome<PathBuf> {
    let mut config = String::new();
    let (mut job, mut skipping) = (String::new(), false);
    for line in read("deploy/prometheus/prometheus.yml")?.lines() {
        if let Some(name) = line.trim().strip_prefix("- job_name: ") {
            name.clone_into(&mut job);
        }
        let deeper = line.starts_with("      ");
        skipping = skipping && deeper;
        if line.trim().ends_with("_sd_configs:") || line.trim() == "static_configs:" {
            skipping = true;
            writeln!(
                config,
                "    file_sd_configs:\n      - files: [{job}.json]\n        refresh_interval: 1s"
            )?;
        } else if !skipping {
            writeln!(config, "{}", line.replace("_interval: 15s", "_interval: 1s"))?;
        }
    }
    let mut rules = String::new();
    for line in read("dashboards/alerts.yml")?.lines().filter(|line| !line.trim().starts_with("for: ")) {
        writeln!(rules, "{}", shortened(line))?;
    }
    std::fs::write(folder.join("alerts.yml"), rules)?;
    let path = folder.join("prometheus.yml");
    std::fs::write(&path, config)?;
    Ok(path)
}

/// Every `[…m]` becomes 15 s.
fn shortened(line: &str) -> String {
    let mut parts = line.split('[');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| match part.split_once("m]") {
        Some((minutes, rest)) if minutes.bytes().all(|b| b.is_ascii_digit()) => format!("{line}[15s]{rest}"),
        _ => format!("{line}[{part}"),
    })
}

/// Waits until a condition of the mesh holds.
pub(crate) async fn until(what: &str, condition: impl AsyncFnMut() -> bool) -> Outcome<Duration> {
    Ok(wait::until(what, PATIENCE, condition).await?)
}

#[test]
fn windows_are_shortened_and_nothing_else_is() {
    assert_eq!(shortened("increase(a{b=~\"[x]m]\"}[10m]) > 2"), "increase(a{b=~\"[x]m]\"}[15s]) > 2");
}
