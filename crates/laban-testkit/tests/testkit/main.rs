//! The test kit against the real programs.

mod broker;
mod jaeger;
mod process;
mod tools;
