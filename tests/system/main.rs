//! The shop as a whole: real processes, a real broker, a real Jaeger.
//!
//! The services' programs must be built before: `make test` does.

mod audit;
mod backup;
mod bad_input;
mod cli;
mod dead;
mod deadlines;
mod doctor;
mod flows;
mod foreign;
mod header_blocks;
mod hops;
mod jaeger;
mod kill;
mod letters;
mod limits;
mod recovery;
mod refusals;
mod replays;
mod replicas;
mod restore;
mod shadow;
mod signals;
mod sixth_service;
mod starting;
mod telemetry;
mod upgrade;
