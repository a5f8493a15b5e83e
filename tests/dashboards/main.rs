//! Dashboards and alerts, against a real Prometheus that scrapes a shop at work, `laban metrics` and a real broker.
//!
//! The services' programs and `laban` must be built before: `make test` does.

mod alerts;
mod api;
mod files;
mod full_disk;
mod live;
mod promql;
mod quiet;
mod replicas;
mod rig;
