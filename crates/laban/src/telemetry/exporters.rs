//! The exporter of metrics, and what it shares with the one of spans: OTLP over gRPC or HTTP, as
//! `OTEL_EXPORTER_OTLP_PROTOCOL` says.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use tokio::runtime::Handle;

use super::env;
use crate::Error;
use crate::config::bad;

pub(super) enum Protocol {
    Grpc,
    Http,
}

/// The specification's default is HTTP.
pub(super) fn protocol(signal: &'static str) -> Result<Protocol, Error> {
    let (name, found) = either(signal, "OTEL_EXPORTER_OTLP_PROTOCOL");
    match found.as_deref() {
        Some("grpc") => Ok(Protocol::Grpc),
        Some("http/protobuf") | None => Ok(Protocol::Http),
        Some(other) => Err(bad(name, other, "it is `grpc` or `http/protobuf`")),
    }
}

/// A setting for one signal, or else the one for all, with the name of the one that counts.
pub(super) fn either(signal: &'static str, all: &'static str) -> (&'static str, Option<String>) {
    match env(signal) {
        Some(value) => (signal, Some(value)),
        None => (all, env(all)),
    }
}

/// The HTTP exporter speaks no TLS, and would lose every span with no more than "network error".
pub(super) fn http_endpoint(signal: &'static str) -> Result<(), Error> {
    let (name, found) = either(signal, "OTEL_EXPORTER_OTLP_ENDPOINT");
    match found {
        Some(endpoint) if endpoint.trim_start().to_ascii_lowercase().starts_with("https:") => {
            let reason = "TLS is for OTLP over gRPC here: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or send to a collector nearby";
            Err(bad(name, &endpoint, reason))
        }
        _ => Ok(()),
    }
}

pub(super) fn metrics() -> Result<PeriodicReader<OnRuntime>, Error> {
    let builder = MetricExporter::builder();
    let built = match protocol("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")? {
        Protocol::Grpc => builder.with_tonic().build(),
        Protocol::Http => {
            http_endpoint("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")?;
            builder.with_http().build()
        }
    };
    let exporter = built.map_err(|e| Error::Telemetry(laban_wire::error_chain(&e)))?;
    Ok(PeriodicReader::builder(OnRuntime { exporter, runtime: Handle::current(), told: Mutex::default() })
        .build())
}

/// The metrics reader has a thread of its own, where the HTTP client would find no runtime; and it keeps errors to itself.
#[derive(Debug)]
pub(super) struct OnRuntime {
    exporter: MetricExporter,
    runtime: Handle,
    told: Mutex<Option<Instant>>,
}

impl PushMetricExporter for OnRuntime {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(metrics));
        let result = poll_fn(|cx| {
            let _guard = self.runtime.enter();
            export.as_mut().poll(cx)
        })
        .await;
        if let Err(error) = &result
            && now_and_then(&self.told)
        {
            tracing::warn!(
                %error,
                "metrics are not delivered (OTEL_EXPORTER_OTLP_ENDPOINT); OTEL_METRICS_EXPORTER=none if none should be"
            );
        }
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// True at most once a minute: for what goes wrong again and again.
pub(super) fn now_and_then(told: &Mutex<Option<Instant>>) -> bool {
    let Ok(mut told) = told.lock() else { return false };
    let due = told.is_none_or(|last| last.elapsed() > Duration::from_secs(60));
    if due {
        *told = Some(Instant::now());
    }
    due
}
