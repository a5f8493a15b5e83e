//! What does not hold: each limit of `docs/guarantees.md` met for real, on real brokers, with what came of it as it is.
//!
//! A test that fails here has found that something has become better, or worse: the document changes with it.

mod bench;
mod damage;
mod disk;
mod forgotten;
mod minority;
mod others;
mod outside;
mod power;
