//! `/metrics`, `/livez` and `/readyz`, when `LABAN_HTTP_ADDR` asks for them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus::{Encoder as _, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::openmetrics;
use crate::runtime::Link;

/// Whether the service should be given work.
#[derive(Debug)]
pub(crate) struct Health {
    attached: AtomicBool,
    stop: CancellationToken,
}

impl Health {
    /// That of a service which drains as soon as `stop` is cancelled.
    pub(crate) fn until(stop: CancellationToken) -> Self {
        Self { attached: AtomicBool::new(false), stop }
    }

    /// The home stream is there and the handlers are starting.
    pub(crate) fn attached(&self) {
        self.attached.store(true, Ordering::Relaxed);
    }

    fn readiness(&self, client: &async_nats::Client) -> Result<(), &'static str> {
        if self.stop.is_cancelled() {
            Err("draining")
        } else if !self.attached.load(Ordering::Relaxed) {
            Err("starting")
        } else if client.connection_state() != async_nats::connection::State::Connected {
            Err("the broker is away")
        } else {
            Ok(())
        }
    }
}

struct Endpoint {
    registry: prometheus::Registry,
    health: Arc<Health>,
    link: Link,
}

/// Serves until `stop`. Returns the address that was bound.
pub(crate) async fn serve(
    address: SocketAddr,
    registry: prometheus::Registry,
    health: Arc<Health>,
    link: Link,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let endpoint = Arc::new(Endpoint { registry, health, link });
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((connection, _)) = accepted else {
                // Out of file descriptors, most likely: do not spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (endpoint, stop) = (Arc::clone(&endpoint), stop.clone());
            tokio::spawn(async move {
                let answer = service_fn(move |request| {
                    let answer = endpoint.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                let serving = http.serve_connection(TokioIo::new(connection), answer);
                tokio::select! { _ = serving => {}, () = stop.cancelled() => {} }
            });
        }
    });
    Ok(bound)
}

impl Endpoint {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/livez" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => match self.health.readiness(&self.link.client()) {
                Ok(()) => plain(StatusCode::OK, "ok\n"),
                Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            // With exemplars for those who can read them.
            "/metrics" if openmetrics::is_accepted(accept(request)) => {
                let text = openmetrics::encode(&self.registry.gather());
                answer(StatusCode::OK, openmetrics::CONTENT_TYPE, text.into())
            }
            "/metrics" => {
                let (encoder, mut text) = (TextEncoder::new(), Vec::new());
                match encoder.encode(&self.registry.gather(), &mut text) {
                    Ok(()) => answer(StatusCode::OK, encoder.format_type(), text.into()),
                    Err(error) => {
                        tracing::warn!(%error, "metrics could not be written");
                        plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n")
                    }
                }
            }
            _ => plain(StatusCode::NOT_FOUND, "/metrics, /livez, /readyz\n"),
        }
    }
}

fn accept(request: &Request<Incoming>) -> Option<&str> {
    request.headers().get(hyper::header::ACCEPT)?.to_str().ok()
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn answer(status: StatusCode, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, value);
    }
    response
}
