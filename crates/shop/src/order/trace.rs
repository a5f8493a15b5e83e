//! The server's span of a request: the flow's trace begins in it, or goes on from the client's.

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::Extractor;
use opentelemetry::{Context, global};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Answers a request inside a span of its own.
pub(crate) async fn traced(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        "POST /orders",
        otel.name = "POST /orders",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = "POST",
        http.route = "/orders",
        http.response.status_code = Empty,
        laban.flow = Empty,
    );
    let client = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Headers(request.headers()))
    });
    // It fails only where no traces are exported at all.
    let _ = span.set_parent(client);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// Says which flow the request is about, once that is known.
pub(crate) fn in_flow(flow: &str) {
    Span::current().record("laban.flow", flow);
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
