//! Failpoints at every step of the commit: whatever fails, wherever it fails, on a real broker each reaction takes effect
//! once.
//!
//! A case is a situation, one of its steps, and a trouble: `three-events/before-append@1/freeze`. See `tests/README.md`.

mod account;
mod beside;
mod case;
mod census;
mod check;
mod controls;
mod instance;
mod programs;
mod run;
mod script;
mod situation;
mod survive;
