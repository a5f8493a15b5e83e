//! `POST /orders`: the shop's front door.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router, middleware};
use laban::{Begun, Emitter, Error, Receipt, Running};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::events::{OrderId, OrderPlaced};
use crate::order::problem::Problem;
use crate::order::request::{OrderRequest, limits};
use crate::order::{IdempotencyKey, trace};
use crate::settings::Settings;

/// How long requests may take to finish once the service stops.
const FINISH: Duration = Duration::from_secs(10);

/// The address at which orders will be taken.
pub(crate) async fn bind(settings: &Settings) -> laban::Result<TcpListener> {
    let bound = TcpListener::bind(settings.http_addr).await;
    bound.map_err(|e| unusable(settings, format!("orders cannot be taken there: {e}")))
}

/// Says what is wrong with the address.
pub(crate) fn unusable(settings: &Settings, reason: String) -> Error {
    Error::Config { name: "SHOP_HTTP_ADDR", value: settings.http_addr.to_string(), reason }
}

/// Tells whoever started this where orders are taken. They see the whole address or no file.
pub(crate) fn announce(listener: &TcpListener, settings: &Settings) -> laban::Result<()> {
    let addr = listener.local_addr().map_err(|e| unusable(settings, e.to_string()))?;
    tracing::info!("taking orders at http://{addr}/orders");
    if let Some(path) = &settings.http_addr_file {
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, format!("{addr}\n"))
            .and_then(|()| std::fs::rename(unfinished, path))
            .map_err(|e| Error::Config {
                name: "SHOP_HTTP_ADDR_FILE",
                value: path.display().to_string(),
                reason: format!("it cannot be written: {e}"),
            })?;
    }
    Ok(())
}

/// Takes orders until the service stops, and answers those that came before, unless they take longer than [`FINISH`].
pub(crate) fn serve(listener: TcpListener, running: &Running) {
    let server = axum::serve(listener, router(running.emitter())).with_graceful_shutdown(running.stopping());
    let stopping = running.stopping();
    let too_late = async {
        stopping.await;
        tokio::time::sleep(FINISH).await;
    };
    running.spawn(async {
        tokio::select! {
            served = server => served?,
            () = too_late => {
                tracing::warn!("requests were cut off: they took longer than {FINISH:?} to finish");
            }
        }
        Ok(())
    });
}

fn router(emitter: Emitter) -> Router {
    Router::new()
        .route("/orders", post(place).route_layer(middleware::from_fn(trace::traced)))
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || ([(header::ALLOW, "POST")], Problem::method_not_allowed()))
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .with_state(emitter)
}

/// The answer to an order that was taken.
#[derive(Serialize)]
struct Accepted<'a> {
    order_id: &'a OrderId,
    flow: String,
    trace_id: Option<String>,
}

/// Place an order: begin its flow. Safe to repeat with the same `Idempotency-Key` or `order_id`.
async fn place(
    State(emitter): State<Emitter>,
    headers: HeaderMap,
    body: Result<Json<OrderRequest>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = body?;
    let key = IdempotencyKey::of(&headers)?;
    let order = request.into_order(key.as_ref())?;
    trace::in_flow(order.order_id.as_str());
    let receipt = match emitter.begin(&order).await? {
        Begun::Now(receipt) => receipt,
        Begun::Before { receipt, payload } if is_same(&order, &payload) => receipt,
        Begun::Before { .. } => return Err(Problem::another_order()),
    };
    Ok(accepted(&order.order_id, receipt))
}

/// Whether the flow was begun by this very order.
fn is_same(order: &OrderPlaced, first: &[u8]) -> bool {
    serde_json::from_slice::<OrderPlaced>(first).is_ok_and(|first| first == *order)
}

fn accepted(order_id: &OrderId, receipt: Receipt) -> Response {
    let location = format!("/orders/{}", receipt.flow.token());
    let body = Accepted { order_id, flow: receipt.flow.key(), trace_id: receipt.trace_id };
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::samples::placed;

    #[test]
    fn the_same_order_is_recognised_and_another_is_not() {
        let first = serde_json::to_vec_pretty(&placed()).unwrap();
        assert!(is_same(&placed(), &first));
        let dearer = OrderPlaced { total_cents: 1, ..placed() };
        assert!(!is_same(&dearer, &first));
        assert!(!is_same(&placed(), br#"{"something": "else"}"#));
    }

    #[tokio::test]
    async fn the_address_is_announced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("order.addr");
        let settings = Settings {
            http_addr: ([127, 0, 0, 1], 0).into(),
            http_addr_file: Some(path.clone()),
            ..Settings::for_test()
        };
        let listener = bind(&settings).await.unwrap();
        announce(&listener, &settings).unwrap();
        let announced: SocketAddr = std::fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        assert_eq!(announced, listener.local_addr().unwrap());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);

        let taken = bind(&Settings { http_addr: announced, ..settings }).await.unwrap_err().to_string();
        assert!(taken.contains(&announced.to_string()), "{taken}");
    }
}
