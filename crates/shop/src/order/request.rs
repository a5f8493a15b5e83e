//! What a client may ask for, and what makes an order of it.

use std::ops::RangeInclusive;

use serde::Deserialize;
use uuid::Uuid;

use crate::events::{Line, OrderId, OrderPlaced};
use crate::order::IdempotencyKey;

/// What an order may hold.
pub mod limits {
    use std::ops::RangeInclusive;

    /// Bytes of a request's body.
    pub const BODY_BYTES: usize = 64 * 1024;
    /// Bytes of a customer's name or address.
    pub const CUSTOMER_BYTES: RangeInclusive<usize> = 1..=200;
    /// Bytes of a card's token.
    pub const CARD_BYTES: RangeInclusive<usize> = 1..=64;
    /// Lines of an order.
    pub const LINES: RangeInclusive<usize> = 1..=100;
    /// Bytes of an article's number.
    pub const SKU_BYTES: RangeInclusive<usize> = 1..=64;
    /// How many of an article.
    pub const QUANTITY: RangeInclusive<u32> = 1..=1_000;
    /// What one may cost.
    pub const UNIT_PRICE_CENTS: RangeInclusive<u64> = 1..=10_000_000;
    /// What an order may cost.
    pub const TOTAL_CENTS: RangeInclusive<u64> = 1..=1_000_000_000;
}

/// The body of `POST /orders`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The client's own id for the order, of up to 256 bytes; it then is the idempotency key too.
    pub order_id: Option<String>,
    /// Who orders.
    pub customer: String,
    /// The payment provider's token for a card.
    pub card: String,
    /// What is ordered.
    pub lines: Vec<LineRequest>,
}

/// A line of [`OrderRequest`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineRequest {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub unit_price_cents: u64,
}

/// A field that makes the request invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// Which field, such as `lines[2].quantity`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl OrderRequest {
    /// The order, if the request is one. Equal requests make equal orders, but for the id of one that has neither an id nor a
    /// key.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn into_order(self, key: Option<&IdempotencyKey>) -> Result<OrderPlaced, Invalid> {
        let order_id = order_id(self.order_id, key)?;
        readable("customer", &self.customer, limits::CUSTOMER_BYTES)?;
        ascii("card", &self.card, limits::CARD_BYTES)?;
        within("lines", "entries", self.lines.len(), limits::LINES)?;
        let mut total_cents: u64 = 0;
        for (i, line) in self.lines.iter().enumerate() {
            total_cents = total_cents.saturating_add(cost(line, |field| format!("lines[{i}].{field}"))?);
        }
        within("lines", "cents in all", total_cents, limits::TOTAL_CENTS)?;
        let lines = self.lines.into_iter().map(Line::from).collect();
        Ok(OrderPlaced { order_id, customer: self.customer, card: self.card, lines, total_cents })
    }
}

impl From<LineRequest> for Line {
    fn from(line: LineRequest) -> Self {
        let LineRequest { sku, quantity, unit_price_cents } = line;
        Self { sku, quantity, unit_price_cents }
    }
}

fn order_id(id: Option<String>, key: Option<&IdempotencyKey>) -> Result<OrderId, Invalid> {
    let invalid = |message: String| Invalid { field: "order_id".to_owned(), message };
    match (id, key) {
        (Some(_), Some(_)) => Err(invalid(
            "it is an idempotency key itself; send either it or the Idempotency-Key header".to_owned(),
        )),
        (Some(id), None) => id.try_into().map_err(|e| invalid(format!("{e}"))),
        (None, Some(key)) => Ok(key.order_id()),
        (None, None) => Uuid::now_v7().to_string().try_into().map_err(|e| invalid(format!("{e}"))),
    }
}

/// Checks a line, and says what it costs.
fn cost(line: &LineRequest, path: impl Fn(&str) -> String) -> Result<u64, Invalid> {
    ascii(&path("sku"), &line.sku, limits::SKU_BYTES)?;
    within(&path("quantity"), "pieces", line.quantity, limits::QUANTITY)?;
    within(&path("unit_price_cents"), "cents", line.unit_price_cents, limits::UNIT_PRICE_CENTS)?;
    Ok(line.unit_price_cents.saturating_mul(line.quantity.into()))
}

/// Text for people.
fn readable(field: &str, text: &str, bytes: RangeInclusive<usize>) -> Result<(), Invalid> {
    within(field, "bytes", text.len(), bytes)?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        let message = "it is blank, or has control characters".to_owned();
        return Err(Invalid { field: field.to_owned(), message });
    }
    Ok(())
}

/// Text for machines.
fn ascii(field: &str, text: &str, bytes: RangeInclusive<usize>) -> Result<(), Invalid> {
    within(field, "bytes", text.len(), bytes)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "it has characters other than visible ASCII".to_owned();
        return Err(Invalid { field: field.to_owned(), message });
    }
    Ok(())
}

fn within<N: PartialOrd + std::fmt::Display>(
    field: &str,
    unit: &str,
    number: N,
    allowed: RangeInclusive<N>,
) -> Result<(), Invalid> {
    if allowed.contains(&number) {
        return Ok(());
    }
    let message = format!("{} to {} {unit} are allowed, here are {number}", allowed.start(), allowed.end());
    Err(Invalid { field: field.to_owned(), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn body() -> Value {
        json!({
            "customer": "ada@example.com",
            "card": "visa",
            "lines": [
                { "sku": "mug", "quantity": 2, "unit_price_cents": 900 },
                { "sku": "grinder", "quantity": 1, "unit_price_cents": 12_900 },
            ],
        })
    }

    /// The body with something else at `pointer`.
    fn with(pointer: &str, value: Value) -> Value {
        let mut body = body();
        match pointer.rsplit_once('/') {
            Some((parent, name)) if body.pointer(pointer).is_none() => {
                body.pointer_mut(parent).unwrap()[name] = value;
            }
            _ => *body.pointer_mut(pointer).unwrap() = value,
        }
        body
    }

    fn order(body: Value) -> Result<OrderPlaced, Invalid> {
        serde_json::from_value::<OrderRequest>(body).unwrap().into_order(None)
    }

    #[test]
    fn an_order_is_what_was_asked_and_what_it_costs() {
        let order = order(with("/order_id", json!("4711"))).unwrap();
        assert_eq!(order, crate::samples::placed());
    }

    #[test]
    fn an_order_without_an_id_gets_one() {
        let (one, other) = (order(body()).unwrap(), order(body()).unwrap());
        assert_ne!(one.order_id, other.order_id);
    }

    #[test]
    fn any_text_is_an_order_id() {
        for id in ["a.b *>c", "🦀", "$JS.API.>", "\r\nX-Header: 1", &"x".repeat(256)] {
            assert_eq!(order(with("/order_id", json!(id))).unwrap().order_id.as_str(), id);
        }
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        let line = &body()["lines"][0];
        for (pointer, value, field) in [
            ("/order_id", json!(""), "order_id"),
            ("/order_id", json!("x".repeat(257)), "order_id"),
            ("/customer", json!(""), "customer"),
            ("/customer", json!("   "), "customer"),
            ("/customer", json!("a\r\nb"), "customer"),
            ("/customer", json!("x".repeat(201)), "customer"),
            ("/card", json!(""), "card"),
            ("/card", json!("visa gold"), "card"),
            ("/card", json!("x".repeat(65)), "card"),
            ("/lines", json!([]), "lines"),
            ("/lines", json!(vec![line; 101]), "lines"),
            ("/lines/0/sku", json!(""), "lines[0].sku"),
            ("/lines/1/sku", json!("a b"), "lines[1].sku"),
            ("/lines/1/quantity", json!(0), "lines[1].quantity"),
            ("/lines/1/quantity", json!(1001), "lines[1].quantity"),
            ("/lines/0/quantity", json!(u32::MAX), "lines[0].quantity"),
            ("/lines/0/unit_price_cents", json!(0), "lines[0].unit_price_cents"),
            ("/lines/0/unit_price_cents", json!(u64::MAX), "lines[0].unit_price_cents"),
        ] {
            let invalid = order(with(pointer, value.clone())).unwrap_err();
            assert_eq!(invalid.field, field, "{pointer} {value}");
            assert!(!invalid.message.is_empty());
        }
        let dear =
            json!(vec![json!({ "sku": "mug", "quantity": 1000, "unit_price_cents": 10_000_000 }); 100]);
        let invalid = order(with("/lines", dear)).unwrap_err();
        assert_eq!(
            invalid.to_string(),
            "lines: 1 to 1000000000 cents in all are allowed, here are 1000000000000"
        );
    }

    #[test]
    fn unknown_fields_and_wrong_types_are_refused() {
        for (pointer, value) in [
            ("/coupon", json!("FREE")),
            ("/lines/0/colour", json!("red")),
            ("/lines/0/quantity", json!(-1)),
            ("/lines/0/quantity", json!(1.5)),
            ("/lines/0/quantity", json!("2")),
            ("/customer", json!(null)),
            ("/lines", json!({})),
        ] {
            assert!(serde_json::from_value::<OrderRequest>(with(pointer, value)).is_err(), "{pointer}");
        }
    }
}
