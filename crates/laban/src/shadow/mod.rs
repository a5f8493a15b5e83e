//! A build in a shadow: `laban replay shadow` starts it, hands it what was, and compares what it makes of it.
//!
//! It gets no broker, opens no state, and listens to nobody but the one who started it.

mod react;
mod recorded;
mod serve;
mod stub;

use std::net::SocketAddr;

use laban_wire::shadow::{ADDRESS, TOKEN};

pub use self::recorded::Recorded;
pub(crate) use self::serve::{Parts, end, end_with, serve};
pub(crate) use self::stub::Stub;
use crate::config::bad;
use crate::{Error, Result};

/// Where this process is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Awaited {
    address: SocketAddr,
    token: String,
}

impl Awaited {
    /// Nothing where there is no shadow.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(text) = lookup(ADDRESS).filter(|value| !value.is_empty()) else { return Ok(None) };
        let wrong = |text: &str| {
            bad(
                ADDRESS,
                text,
                "it is set by `laban replay shadow`, an address of this machine alone; unset it otherwise",
            )
        };
        let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
        let address = address.ok_or_else(|| wrong(&text))?;
        let token = lookup(TOKEN).filter(|token| !token.is_empty()).ok_or_else(|| wrong(&text))?;
        Ok(Some(Self { address, token }))
    }
}

fn not_run(service: &str, reason: impl Into<String>) -> Error {
    Error::Shadow { service: service.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited(address: &str, token: &str) -> Result<Option<Awaited>> {
        Awaited::from_lookup(|name| Some(if name == ADDRESS { address } else { token }.to_owned()))
    }

    #[test]
    fn a_shadow_is_on_this_machine_alone() {
        assert_eq!(awaited("", "secret").unwrap(), None);
        assert!(awaited("127.0.0.1:4711", "secret").unwrap().is_some());
        assert!(awaited("[::1]:4711", "secret").unwrap().is_some());
        for (address, token) in
            [("192.0.2.1:4711", "secret"), ("somewhere:4711", "secret"), ("127.0.0.1:4711", "")]
        {
            let error = awaited(address, token).unwrap_err().to_string();
            assert!(error.contains(ADDRESS) && error.contains("laban replay shadow"), "{error}");
        }
    }
}
