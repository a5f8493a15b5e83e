//! What the system suites share: a shop that runs, orders placed at it, and what must hold when all is over. And the small
//! service that the failpoint suite troubles, or that is sent signals.

mod life;
mod raw;
mod shop;
pub mod small;

pub use life::Life;
pub use raw::{RawHttp, RawNats};
pub use shop::{Over, Shop, consumers, redeliveries};

use std::io::Write as _;

use async_nats::HeaderMap;

/// Says something to whoever runs the tests, such as what was left out.
pub fn note(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Headers of a message.
pub fn headers<'a>(of: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    of.into_iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(name, value);
        headers
    })
}

/// The result of a test.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a test failed: any error or text, readable where the test runner prints it.
pub struct Failure(String);

impl<E: Into<Box<dyn std::error::Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(laban_wire::error_chain(error.into().as_ref()))
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
