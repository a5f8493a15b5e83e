#![doc = include_str!("../README.md")]

pub mod audit;
pub mod deployment;
mod door;
mod error;
mod history;
mod mesh;
pub mod orders;
mod progress;
pub mod report;
mod service;
mod settle;
mod signals;
pub mod traces;

pub use door::Door;
pub use error::Error;
pub use history::History;
pub use mesh::{Mesh, Settings};
pub use progress::{Progress, Stage};
pub use service::{CHOREOGRAPHY, Service, program};
pub use settle::{Unsettled, settle};
pub use signals::Signals;
