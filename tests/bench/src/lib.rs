//! What Laban costs: the same chain of four handlers by Laban, by hand, and by its peers, on the same broker in turns.
//!
//! `contestants` are the programs that are compared, `driver` starts and loads them, `scenarios` say what is measured,
//! `report` what came of it. All processes of the bench are this one program.

mod cli;
mod contestants;
mod driver;
mod error;
mod guard;
mod progress;
mod report;
mod scenarios;
mod stats;

pub use cli::main;
pub use contestants::{Counted, Counter};
