#![doc = include_str!("../README.md")]

mod broker;
mod case;
mod cluster;
mod disk;
mod error;
mod http;
mod jaeger;
mod log;
mod ports;
mod power;
mod process;
mod prometheus;
mod proxy;
mod signal;
mod spawn;
pub mod streams;
pub mod tools;
pub mod wait;
mod watchdog;

pub use broker::{Broker, Builder as BrokerBuilder};
pub use case::{Case, CaseOf, CaseRun, Differences};
pub use cluster::{Builder as ClusterBuilder, Cluster};
pub use disk::SmallDisk;
pub use error::Error;
pub use jaeger::{Builder as JaegerBuilder, Jaeger};
pub use ports::Port;
pub use power::PowerDisk;
pub use process::Process;
pub use prometheus::Prometheus;
pub use proxy::{Proxy, Slow};
pub use signal::Signal;
pub use spawn::Builder as ProcessBuilder;
