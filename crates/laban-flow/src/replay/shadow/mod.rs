//! A new build against history: what it is to do again, what was recorded of it, and how the two differ.
//!
//! Nothing is written, and no consumer is made: streams are read by direct gets, flow by flow. Running the build is for others.

mod case;
mod compare;
mod cursor;
mod diff;
mod html;
mod past;
mod quantiles;
mod report;
mod scope;
#[cfg(test)]
mod tests;
mod text;

pub use case::{About, Case, Reaction, Then};
pub use compare::{Compared, Verdict, compare};
pub use cursor::{Plan, cases_of, plan};
pub use diff::Change;
pub use quantiles::Quantiles;
pub use report::{FlowResult, HandlerReport, Judged, Report, Untold};
pub use scope::{Chosen, Scope};
