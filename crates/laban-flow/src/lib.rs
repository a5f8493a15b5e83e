#![doc = include_str!("../README.md")]

mod api;
mod clock;
mod error;
mod flow;
mod html;
mod inside;
mod list;
mod mermaid;
mod mesh;
mod ocel;
mod order;
mod otlp;
mod overdue;
mod reactions;
mod read;
mod records;
mod standing;
mod state;
mod step;
mod timeline;
mod tree;
pub mod words;

pub use error::Error;
pub use flow::Flow;
pub use inside::{Inside, flow_of_trace};
pub use list::{Cursor, Flows, KeyPattern, Listed, Query};
pub use mesh::{Home, Mesh};
pub use ocel::{Bodies, Ocel};
pub use overdue::{OVERDUE, Overdue};
pub use reactions::{Deadline, Declared, Reactions, Since};
pub use records::Unreadable;
pub use standing::Why;
pub use state::{Awaited, State};
pub use step::Step;
pub use timeline::{Bar, Timeline};
pub use tree::TreeStyle;
