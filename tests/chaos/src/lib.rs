#![doc = include_str!("../README.md")]

mod audit;
mod faults;
mod generator;
mod ledger;
mod report;
mod run;
mod settings;
mod watch;
mod world;

pub use report::{Counts, Orders, Report, Verdict, Zombies};
pub use run::{default_dir, run};
pub use settings::{CALM, Fence, Profile, Settings};
