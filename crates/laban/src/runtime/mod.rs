//! A running service: from deliveries to commits.
//!
//! `pull` gets deliveries, `handling` settles them one by one, `commit` is the heart, `known` what it rests on.

mod announcing;
mod append;
mod attempt;
mod batches;
mod broker;
mod commit;
mod consumers;
mod contracts;
mod core;
mod deadlines;
mod delivery;
mod drafts;
mod failing;
pub(crate) mod faults;
mod handling;
mod home;
mod hops;
mod known;
mod lag;
mod letters;
mod link;
mod memory;
mod not_now;
mod outcome;
mod patience;
mod progress;
mod pull;
mod redo;
mod redrive;
mod replaying;
mod running;
mod screen;
mod signals;
mod timers;
mod turns;
mod vigil;

pub(crate) use self::append::{AppendError, Fence};
pub(crate) use self::commit::{Commit, Committed, Pause};
pub(crate) use self::core::Core;
pub(crate) use self::drafts::fingerprint;
#[cfg(feature = "faults")]
pub use self::faults::Point as FaultPoint;
pub(crate) use self::known::{Identity, is_state};
pub(crate) use self::link::Link;
pub(crate) use self::progress::Progress;
pub use self::running::Running;
pub(crate) use self::signals::Signals;
