//! What is deployed: `deploy/compose` as processes of this machine, troubled; and all of its files.
//!
//! The services' programs and `laban` must be built before: `make test` does.

mod docker;
mod drains;
mod files;
mod grafana;
mod image;
mod kills;
mod rig;
mod up;
