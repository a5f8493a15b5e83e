//! Flows rebuilt: from messages alone, and from a real broker.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test")]

mod case;
mod dead;
mod discovery;
mod foreign;
mod formats;
mod history;
mod inside;
mod json;
mod list;
mod live;
mod ocel;
mod order;
mod overdue;
mod reacted;
mod read;
mod replay;
mod replay_run;
mod shadow;
mod state;
mod tree;
