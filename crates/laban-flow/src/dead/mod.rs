//! Dead letters: which there are, what became of them, and which are of a kind.
//!
//! A dead letter is a fact of its service, and so is what was decided about it: each is a record in the home stream. What
//! stands is worked out from those records alone, with the rule that the service itself goes by (`docs/wire.md`).

mod fold;
mod group;
mod letter;
mod place;
mod query;
mod walk;

pub use fold::letters_of;
pub use group::{Group, Groups, MOST_GROUPS};
pub use letter::{Entry, Letter, Standing, What};
pub use place::Place;
pub use query::Query;
pub use walk::{Letters, at};
