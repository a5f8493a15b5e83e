//! What a client is told when an order is not taken.

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::order::request::{Invalid, limits};

/// `{"error": {"code", "message", "field"?}}` and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    pub(crate) fn idempotency_key() -> Self {
        let message = "Idempotency-Key is given once, with 1 to 255 characters of visible ASCII";
        Self::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", message)
    }

    pub(crate) fn another_order() -> Self {
        let message = "another order was placed under this order_id or Idempotency-Key";
        Self::new(StatusCode::CONFLICT, "another_order", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "orders are placed with POST /orders")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "orders are placed with POST /orders")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let code = match &rejection {
            JsonRejection::JsonSyntaxError(_) => "malformed_json",
            JsonRejection::JsonDataError(_) => "invalid_order",
            JsonRejection::MissingJsonContentType(_) => "unsupported_media_type",
            JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(_))
                if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                let message = format!("an order has at most {} bytes", limits::BODY_BYTES);
                return Self::new(rejection.status(), "too_large", message);
            }
            _ => "unreadable",
        };
        Self::new(rejection.status(), code, rejection.body_text())
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_order", message);
        Self { field: Some(invalid.field), ..problem }
    }
}

impl From<laban::Error> for Problem {
    fn from(error: laban::Error) -> Self {
        match &error {
            laban::Error::NotTaken { transient: false, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_taken", error.to_string())
            }
            // What ails the broker is for the log, not for the client.
            _ => {
                tracing::warn!(%error, "order not taken");
                let message =
                    "orders cannot be taken just now; send it again, with an Idempotency-Key or order_id";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: Content,
        }
        #[derive(Serialize)]
        struct Content {
            code: &'static str,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<String>,
        }
        let error = Content { code: self.code, message: self.message, field: self.field };
        let mut response = (self.status, Json(Body { error })).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
