use serde_json::{Value, json};

use super::{Expected, Order, Request};

/// Requests that no order comes of, each with the answer it deserves.
pub(super) fn all() -> Vec<Order> {
    let mut all = vec![
        raw("JSON that breaks off", br#"{"customer": "ada@example.com", "lines": ["#, 400, "malformed_json"),
        raw("no body", b"", 400, "malformed_json"),
        raw("bytes that are no UTF-8", b"{\"customer\": \"\xff\xfe\"}", 400, "malformed_json"),
        raw("a list", b"[]", 422, "invalid_order"),
        raw("more than fits", &vec![b' '; 70_000], 413, "too_large"),
    ];
    all.extend(INVALID.into_iter().map(|(what, pointer, value)| {
        let body = with(pointer, value());
        refused(what, serde_json::to_vec(&body).unwrap_or_default(), 422, "invalid_order")
    }));
    let good = || serde_json::to_vec(&body()).unwrap_or_default();
    let mut form = refused("a form", good(), 415, "unsupported_media_type");
    form.requests[0].content_type = "application/x-www-form-urlencoded";
    let mut key = refused("a key with blanks", good(), 400, "invalid_idempotency_key");
    key.requests[0].idempotency_key = Some("two words".to_owned());
    let mut both = with("/order_id", json!("4711"));
    both["customer"] = json!("id and key");
    let mut both = refused("an id and a key", both.to_string().into_bytes(), 422, "invalid_order");
    both.requests[0].idempotency_key = Some("4711".to_owned());
    all.extend([form, key, both]);
    all
}

type Case = (&'static str, &'static str, fn() -> Value);

const INVALID: [Case; 13] = [
    ("no lines", "/lines", || json!([])),
    ("lines that are no list", "/lines", || json!({})),
    ("a quantity of 0", "/lines/0/quantity", || json!(0)),
    ("a negative quantity", "/lines/0/quantity", || json!(-1)),
    ("a quantity in quotes", "/lines/0/quantity", || json!("2")),
    ("half a mug", "/lines/0/quantity", || json!(0.5)),
    ("a price beyond all measure", "/lines/0/unit_price_cents", || json!(u64::MAX)),
    ("goods with a blank", "/lines/0/sku", || json!("two words")),
    ("a field nobody knows", "/coupon", || json!("FREE")),
    ("nobody", "/customer", || json!("   ")),
    ("a customer with a line break", "/customer", || json!("ada\r\nLaban: id=1")),
    ("an empty id", "/order_id", || json!("")),
    ("an id that is too long", "/order_id", || json!("x".repeat(257))),
];

fn body() -> Value {
    json!({
        "customer": "ada@example.com",
        "card": "visa",
        "lines": [{ "sku": "mug", "quantity": 1, "unit_price_cents": 900 }],
    })
}

/// The body with something else at `pointer`.
fn with(pointer: &str, value: Value) -> Value {
    let mut body = body();
    if let Some(there) = body.pointer_mut(pointer) {
        *there = value;
    } else {
        body[pointer.trim_start_matches('/')] = value;
    }
    body
}

fn raw(what: &str, body: &[u8], status: u16, code: &'static str) -> Order {
    refused(what, body.to_vec(), status, code)
}

fn refused(what: &str, body: Vec<u8>, status: u16, code: &'static str) -> Order {
    let request = Request {
        content_type: "application/json",
        idempotency_key: None,
        body,
        expected: Expected::Refused { status, code },
    };
    Order { what: what.to_owned(), requests: vec![request], ending: None, total_cents: 0 }
}
