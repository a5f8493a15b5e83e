//! The runtime on a real broker.

mod beginning;
mod bench;
mod foreign;
mod joins;
mod once;
mod recovery;
mod refusals;
mod retries;
mod spans;
mod vanishing;
