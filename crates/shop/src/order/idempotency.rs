//! `Idempotency-Key`: the same request, sent again, is the same order.

use axum::http::HeaderMap;
use uuid::Uuid;

use crate::events::OrderId;
use crate::order::problem::Problem;

/// Orders that were placed under a key hang below this one.
const ORDERS: Uuid = Uuid::from_u128(0x5d0b_9c0e_6f52_4a7e_9d6a_1f0c_8a3b_2e47);

/// The longest key, in bytes.
const MAX_BYTES: usize = 255;

/// What a client calls its request, to be able to send it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key of a request, if it has one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                Self::parse(value.as_bytes()).map(Some).ok_or_else(Problem::idempotency_key)
            }
            (Some(_), Some(_)) => Err(Problem::idempotency_key()),
        }
    }

    /// A key, if it can be one: 1 to 255 visible ASCII characters.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let fits = (1..=MAX_BYTES).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
        let key = String::from_utf8(value.to_vec()).ok()?;
        fits.then_some(Self(key))
    }

    /// The order that this key stands for, on every instance of the service and for ever.
    pub fn order_id(&self) -> OrderId {
        let id = Uuid::new_v5(&ORDERS, self.0.as_bytes()).to_string();
        id.try_into().expect("a UUID is an order id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn key(value: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
        let value = HeaderValue::from_bytes(value).unwrap();
        IdempotencyKey::of(&HeaderMap::from_iter([("idempotency-key".parse().unwrap(), value)]))
    }

    #[test]
    fn a_key_stands_for_one_order() {
        let order = |text: &str| key(text.as_bytes()).unwrap().unwrap().order_id();
        assert_eq!(order("k-1"), order("k-1"));
        assert_ne!(order("k-1"), order("k-2"));
        // Instances of other versions must agree.
        assert_eq!(order("k-1").as_str(), "ddc82809-b329-5397-8fb5-6641c67fff0b");
    }

    #[test]
    fn no_key_is_no_key() {
        assert_eq!(IdempotencyKey::of(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for value in [&b""[..], b"two words", b"k\xc3\xb6nig", b"\t", &[b'x'; 256]] {
            assert!(key(value).is_err(), "{value:?}");
        }
        assert!(key(&[b'x'; 255]).is_ok());
        let mut twice = HeaderMap::new();
        twice.append("idempotency-key", HeaderValue::from_static("a"));
        twice.append("idempotency-key", HeaderValue::from_static("b"));
        assert!(IdempotencyKey::of(&twice).is_err());
    }
}
