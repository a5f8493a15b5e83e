use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::escape::{escape, is_plain_text, unescape};

/// The business key that all events of one flow share, such as an order id.
///
/// Kept as the subject token it becomes ([`token`](Self::token)); [`key`](Self::key) and `Display` give the key back.
/// Any UTF-8 text but the empty one, at most [`MAX_KEY_BYTES`](Self::MAX_KEY_BYTES) long, round-trips.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(Arc<str>);

impl FlowId {
    /// The longest key, in bytes. Escaped it may be three times as long, well below a broker's subject limit.
    pub const MAX_KEY_BYTES: usize = 256;

    /// The flow with this business key.
    ///
    /// # Errors
    /// When the key is empty or longer than [`MAX_KEY_BYTES`](Self::MAX_KEY_BYTES).
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidFlowId> {
        let key = key.as_ref();
        match key.len() {
            0 => Err(InvalidFlowId::Empty),
            bytes if bytes > Self::MAX_KEY_BYTES => Err(InvalidFlowId::TooLong { bytes }),
            _ if is_plain_text(key) => Ok(Self(key.into())),
            _ => Ok(Self(escape(key).into())),
        }
    }

    /// The flow whose key was escaped into this subject token.
    ///
    /// # Errors
    /// When the token is not one that [`new`](Self::new) makes.
    pub fn from_token(token: &str) -> Result<Self, InvalidFlowId> {
        if is_plain_text(token) {
            return Self::new(token);
        }
        match unescape(token) {
            Some(key) if key.is_empty() => Err(InvalidFlowId::Empty),
            Some(key) if key.len() > Self::MAX_KEY_BYTES => Err(InvalidFlowId::TooLong { bytes: key.len() }),
            Some(_) => Ok(Self(token.into())),
            None => Err(InvalidFlowId::NotEscaped { token: token.to_owned() }),
        }
    }

    /// The escaped key: one subject token.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Whether this is the business key.
    pub fn is_key(&self, key: &str) -> bool {
        if is_plain_text(key) { *self.0 == *key } else { *self.0 == *escape(key) }
    }

    /// The business key itself.
    pub fn key(&self) -> String {
        unescape(&self.0).unwrap_or_else(|| self.0.to_string())
    }

    /// The business key; where it is its own token, without a copy.
    pub fn shared_key(&self) -> Arc<str> {
        if self.0.contains('%') { self.key().into() } else { Arc::clone(&self.0) }
    }
}

impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowId({:?})", self.key())
    }
}

impl FromStr for FlowId {
    type Err = InvalidFlowId;
    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Self::new(key)
    }
}

/// A key or token that names no flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFlowId {
    /// No text at all.
    #[error("a flow id must not be empty")]
    Empty,
    /// More than [`FlowId::MAX_KEY_BYTES`].
    #[error("a flow id may have {} bytes, this one has {bytes}", FlowId::MAX_KEY_BYTES)]
    TooLong {
        /// The length found.
        bytes: usize,
    },
    /// A subject token that is not an escaped key.
    #[error(
        "`{token}` is not an escaped flow id: bytes other than A-Z a-z 0-9 - _ ~ : @ + = , are written %XX"
    )]
    NotEscaped {
        /// The token found.
        token: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(FlowId::new(""), Err(InvalidFlowId::Empty));
        assert!(FlowId::new("x".repeat(256)).is_ok());
        assert_eq!(FlowId::new("x".repeat(257)), Err(InvalidFlowId::TooLong { bytes: 257 }));
        assert!(matches!(FlowId::from_token("a b"), Err(InvalidFlowId::NotEscaped { .. })));
    }

    #[test]
    fn key_and_token() {
        let flow = FlowId::new("order 1.2 🦀").unwrap();
        assert_eq!(flow.token(), "order%201%2E2%20%F0%9F%A6%80");
        assert_eq!(flow.key(), "order 1.2 🦀");
        assert_eq!(*flow.shared_key(), *flow.key());
        assert_eq!(FlowId::from_token(flow.token()).unwrap(), flow);
        assert!(flow.is_key("order 1.2 🦀") && !flow.is_key(flow.token()));
    }
}
