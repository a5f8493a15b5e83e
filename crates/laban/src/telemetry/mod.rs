//! Traces, metrics and logs: OpenTelemetry set up from `OTEL_*`, as its specification has them.

mod exemplars;
mod exporters;
mod hops;
mod http;
mod metrics;
mod openmetrics;
mod otlp;
pub(crate) mod propagation;
mod queue;
mod spans;
mod transport;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

pub(crate) use hops::HopSpans;
pub(crate) use http::{Health, serve};
pub(crate) use metrics::{AppendFailure, HandlerMetrics, Metrics, Tally};
pub(crate) use queue::SpanCounts;
pub(crate) use spans::{Ending, HandlerSpans, Received, SendSpans, Trace, end_send_span};

use crate::Error;
use crate::config::bad;
use queue::QueueProcessor;
use transport::Collector;

/// The name that spans and metrics of the framework are filed under.
pub(crate) const SCOPE: &str = "laban";

/// How long a stop waits for the last spans and metrics to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// What was set up, to be shut down.
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    hops: Option<Arc<HopSpans>>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) span_counts: Arc<SpanCounts>,
}

/// `OTEL_*_EXPORTER`: where a signal goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    None,
}

impl Telemetry {
    /// Nothing of ours: the program has set up its own.
    pub(crate) fn none() -> Self {
        Self {
            traces: None,
            metrics: None,
            hops: None,
            registry: prometheus::Registry::new(),
            span_counts: Arc::default(),
        }
    }

    /// Sets up traces, metrics and logs for this process; with `trace_broker`, for what the broker reports as well.
    pub(crate) fn install(service: &str, ip: Option<IpAddr>, trace_broker: bool) -> Result<Self, Error> {
        let mut telemetry = Self::none();
        if env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            logs(None)?;
            return Ok(telemetry);
        }
        let resource = resource(service, ip);
        global::set_text_map_propagator(propagation::w3c());
        let mut traces = SdkTracerProvider::builder().with_resource(resource.clone());
        if exporter("OTEL_TRACES_EXPORTER", &["otlp", "none"])? == Exporter::Otlp {
            let counts = Arc::clone(&telemetry.span_counts);
            let queue = QueueProcessor::start(Collector::from_env()?, &resource, counts);
            traces = traces.with_span_processor(queue);
            if trace_broker {
                telemetry.hops = Some(Arc::new(HopSpans::start(ip, &telemetry.span_counts)?));
            }
        }
        // Without an exporter too: contexts still pass through, and records still name their trace.
        let traces = traces.build();
        global::set_tracer_provider(traces.clone());
        telemetry.traces = Some(traces);
        let prometheus = opentelemetry_prometheus::exporter()
            .with_registry(telemetry.registry.clone())
            .build()
            .map_err(|e| Error::Telemetry(e.to_string()))?;
        let mut metrics = SdkMeterProvider::builder().with_resource(resource).with_reader(prometheus);
        if exporter("OTEL_METRICS_EXPORTER", &["otlp", "none", "prometheus"])? == Exporter::Otlp {
            metrics = metrics.with_reader(exporters::metrics()?);
        }
        let metrics = metrics.build();
        global::set_meter_provider(metrics.clone());
        telemetry.metrics = Some(metrics);
        logs(telemetry.traces.as_ref())?;
        Ok(telemetry)
    }

    /// Where the broker's reports go, if they are exported.
    pub(crate) fn hop_spans(&self) -> Option<Arc<HopSpans>> {
        self.hops.clone()
    }

    /// Lets the last spans and metrics leave, for a bounded time, and says what was lost.
    pub(crate) async fn shutdown(self, service: &str) {
        let Self { traces, metrics, hops, span_counts, .. } = self;
        // The providers block; a runtime that is blocked would never deliver what they wait for.
        let flush = tokio::task::spawn_blocking(move || {
            let traces = traces.map_or(Ok(()), |provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT));
            let metrics = metrics.map_or(Ok(()), |provider| provider.shutdown_with_timeout(FLUSH_TIMEOUT));
            let hops = hops.map_or(Ok(()), |spans| spans.shutdown());
            traces.and(metrics).and(hops)
        });
        match flush.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%service, %error, "telemetry was not delivered in full"),
            Err(error) => tracing::warn!(%service, %error, "telemetry shutdown"),
        }
        let lost = span_counts.lost();
        if lost > 0 {
            tracing::warn!(%service, lost, exported = span_counts.exported(), "spans were lost");
        }
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn exporter(name: &'static str, known: &[&str]) -> Result<Exporter, Error> {
    match env(name).as_deref() {
        None | Some("otlp") => Ok(Exporter::Otlp),
        Some(other) if known.contains(&other) => Ok(Exporter::None),
        Some(other) => Err(bad(name, other, &format!("it is one of {}", known.join(", ")))),
    }
}

/// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what the service is called in the mesh.
fn resource(service: &str, ip: Option<IpAddr>) -> Resource {
    let mut own = vec![
        KeyValue::new("service.namespace", "laban"),
        KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    // Jaeger tells hosts apart by `ip`, and takes spans without one for spans of hosts whose clocks differ.
    if let Some(ip) = ip {
        own.push(KeyValue::new("ip", ip.to_string()));
    }
    if env("OTEL_SERVICE_NAME").is_none() {
        own.push(KeyValue::new("service.name", service.to_owned()));
    }
    let detected = Resource::builder().build();
    let mut resource = Resource::builder_empty().with_attributes(own);
    for (key, value) in detected.iter() {
        // The SDK fills in `unknown_service` when nobody says a name.
        let unknown = key.as_str() == "service.name" && value.to_string().starts_with("unknown_service");
        if !unknown {
            resource = resource.with_attribute(KeyValue::new(key.clone(), value.clone()));
        }
    }
    resource.build()
}

/// Logs to standard error: `RUST_LOG` filters, `LABAN_LOG=json` is for machines. A program that has set up its own
/// subscriber keeps it.
fn logs(traces: Option<&SdkTracerProvider>) -> Result<(), Error> {
    use opentelemetry::trace::TracerProvider as _;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr()) && env("NO_COLOR").is_none();
    let lines = match env("LABAN_LOG").as_deref() {
        None | Some("text") => lines.with_ansi(terminal).boxed(),
        Some("json") => lines.json().boxed(),
        Some(other) => return Err(bad("LABAN_LOG", other, "it is `text` or `json`")),
    };
    let spans = traces.map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(SCOPE)));
    // Fails when there is a subscriber already, which is as it should be.
    let _ = tracing_subscriber::registry().with(spans).with(lines).with(filter).try_init();
    Ok(())
}
