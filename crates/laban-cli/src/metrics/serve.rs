//! `/metrics`: the page of the last look.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::Failure;

/// The text of the last page; none before the first look.
#[derive(Clone, Default)]
pub(super) struct Published(Arc<RwLock<String>>);

impl Published {
    pub(super) fn publish(&self, text: String) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn text(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Listens; returns the address that was bound, and what serves there.
pub(super) async fn serve(
    address: SocketAddr,
    published: Published,
) -> Result<(SocketAddr, impl Future<Output = Result<(), Failure>>), Failure> {
    let failed = |e: std::io::Error| Failure::NotDone(format!("cannot listen on {address}: {e}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "ok\n"))
        .with_state(published);
    let serving = async move {
        axum::serve(listener, router).await.map_err(|e| Failure::NotDone(format!("cannot serve: {e}")))
    };
    Ok((bound, serving))
}

async fn metrics(State(published): State<Published>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], published.text())
}
