//! The runtime on a real broker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod announced;
mod beginning;
mod bench;
mod contracts;
mod deadlines;
mod foreign;
mod groups;
mod joins;
mod once;
mod placement;
mod recovery;
mod redone;
mod redrives;
mod refusals;
mod replays;
mod retries;
mod shadow;
mod spans;
mod vanishing;
mod versions;
