//! A real broker, and a real Jaeger, per test: no fakes that pretend.
//!
//! - [`Broker`]: a nats-server with a port and a store of its own, killed on drop, restartable.
//! - [`Process`]: any program, its output in a log file, killed on drop: the services under test.
//! - [`wait`]: poll with a deadline, never sleep for luck.
//! - [`tools`]: where the real programs come from.

mod broker;
mod error;
mod http;
mod log;
mod process;
pub mod tools;
pub mod wait;
mod watchdog;

pub use broker::{Broker, Builder as BrokerBuilder};
pub use error::Error;
pub use process::{Builder as ProcessBuilder, Process, Signal};
