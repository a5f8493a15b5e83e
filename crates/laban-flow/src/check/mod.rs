//! What is wrong with a choreography, as far as its contracts and its streams tell.
//!
//! Each kind of finding has a page in `docs/checks.md`.

mod antipatterns;
mod breaking;
mod compensation;
mod cycle;
mod finding;
mod paths;
mod stream;
mod wiring;

pub use finding::{Finding, Kind, Severity, UnknownKind};
pub use stream::sample;

use laban_wire::contract::Contract;

use crate::Map;

/// Finds what is wrong with a map. `registered` are the contracts that it is to be compatible with; a service that has none
/// there is new.
///
/// Ordered by kind, then by subject.
pub fn check(map: &Map, registered: &[Contract]) -> Vec<Finding> {
    let paths = paths::Paths::of(map);
    let mut found = Vec::new();
    wiring::check(map, &mut found);
    cycle::check(map, &mut found);
    compensation::check(&paths, &mut found);
    breaking::check(map, registered, &mut found);
    antipatterns::check(map, &paths, &mut found);
    sort(&mut found);
    found
}

/// Orders findings by kind, then by subject.
pub fn sort(found: &mut [Finding]) {
    found.sort_by(|a, b| (a.kind, &a.subject).cmp(&(b.kind, &b.subject)));
}
