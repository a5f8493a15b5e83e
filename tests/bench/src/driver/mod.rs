//! The load generator's side: starts broker, receiver and contestants, loads them, and watches from outside.

mod broker;
pub(crate) mod build;
mod child;
mod entrant;
mod jetstream;
mod layout;
mod load;
mod otlp;
mod proc;
pub(crate) mod receiver;
mod rig;
mod setup;
mod watch;

pub(crate) use entrant::{Allocator, Entrant, Kind};
pub(crate) use layout::{HOPS, Layout, Root, home};
pub(crate) use load::publish_all;
pub(crate) use proc::rss_bytes;
pub(crate) use rig::Rig;
pub(crate) use setup::Bench;
pub(crate) use setup::Setup;
