//! The test kit against the real programs.

mod broker;
mod case;
mod cluster;
mod disk;
mod jaeger;
mod process;
mod prometheus;
mod proxy;
mod tools;
