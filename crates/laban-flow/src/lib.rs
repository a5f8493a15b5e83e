#![doc = include_str!("../README.md")]

mod api;
pub mod check;
mod error;
mod flow;
pub mod map;
mod mesh;
mod order;
mod reactions;
mod read;
mod records;
mod state;
mod step;
mod tree;

pub use error::Error;
pub use flow::Flow;
pub use map::Map;
pub use mesh::{Home, Mesh};
pub use reactions::{Deadline, Declared, Reactions, Since};
pub use records::Unreadable;
pub use state::{Awaited, State};
pub use step::Step;
pub use tree::TreeStyle;
