//! What is measured.

mod allocations;
mod chain;
mod commit;
mod flow_show;
mod growth;
mod headers;
mod latency;
mod rates;
mod replay_view;
mod sizing;
mod startup;
mod steady;

use clap::ValueEnum;

use crate::driver::{Allocator, Bench, Entrant, Kind};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

/// A scenario's name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// Flows per second, and what they cost.
    Chain,
    /// One flow at a time.
    Latency,
    /// Fifty flows per second.
    Steady,
    /// Outputs committed per second, on one node and on three.
    Commit,
    /// Publishing alone, and consuming alone.
    Rates,
    /// What each header costs.
    Headers,
    /// How long a service takes to start and to stop, and how large it is.
    Startup,
    /// Full streams, more instances, a backlog.
    Growth,
    /// Allocations of a hop.
    Allocations,
    /// Reading one flow of many.
    FlowShow,
    /// Reading history in causal order.
    ReplayView,
    /// What history costs, on disk and in memory.
    Sizing,
}

/// What all scenarios are told.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What all runs have in common.
    pub(crate) bench: Bench,
    /// Who takes part.
    pub(crate) kinds: Vec<Kind>,
    /// Whether the command line says who.
    pub(crate) kinds_named: bool,
    /// With which allocators.
    pub(crate) allocators: Vec<Allocator>,
    /// Tiny sizes, to see whether the bench itself works.
    pub(crate) quick: bool,
    /// Rounds, when the command line says.
    pub(crate) rounds: Option<usize>,
    /// Flows of a run, when the command line says.
    pub(crate) flows: Option<u64>,
}

impl Plan {
    /// Everyone who takes part, in the order of this round.
    fn entrants(&self, round: usize) -> Vec<Entrant> {
        self.in_turn(round, &self.kinds, &self.allocators)
    }

    /// Those of `kinds` who take part, or whoever the command line names, with the first allocator: for what takes long.
    fn few_entrants(&self, round: usize, kinds: &[Kind]) -> Vec<Entrant> {
        let few: Vec<Kind> = self.kinds.iter().copied().filter(|kind| kinds.contains(kind)).collect();
        let kinds = if self.kinds_named { &self.kinds } else { &few };
        self.in_turn(round, kinds, &[self.allocator()])
    }

    /// Rotated with each round, so that nobody always follows the same one.
    fn in_turn(&self, round: usize, kinds: &[Kind], allocators: &[Allocator]) -> Vec<Entrant> {
        let mut all: Vec<Entrant> = Vec::new();
        for allocator in allocators.iter().copied() {
            let rust = kinds.iter().filter(|kind| **kind != Kind::Watermill);
            all.extend(rust.map(|kind| Entrant { kind: *kind, allocator }));
        }
        if kinds.contains(&Kind::Watermill) {
            all.push(Entrant { kind: Kind::Watermill, allocator: Allocator::Own });
        }
        rotated(all, round)
    }

    /// The first allocator.
    fn allocator(&self) -> Allocator {
        self.allocators.first().copied().unwrap_or(Allocator::System)
    }

    /// A size: as it should be, or tiny.
    fn size(&self, full: u64, tiny: u64) -> u64 {
        if self.quick { tiny } else { full }
    }

    /// How many rounds.
    fn rounds(&self, full: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { full })
    }
}

/// The same in another order each round.
fn rotated<T>(mut all: Vec<T>, round: usize) -> Vec<T> {
    if !all.is_empty() {
        let by = round % all.len();
        all.rotate_left(by);
    }
    all
}

/// Measures one.
pub(crate) async fn run(name: Name, plan: &Plan, progress: Progress) -> Result<Scenario> {
    let measured = match name {
        Name::Chain => chain::run(plan, progress).await,
        Name::Latency => latency::run(plan, progress).await,
        Name::Steady => steady::run(plan, progress).await,
        Name::Commit => commit::run(plan, progress).await,
        Name::Rates => rates::run(plan, progress).await,
        Name::Headers => headers::run(plan, progress).await,
        Name::Startup => startup::run(plan, progress).await,
        Name::Growth => growth::run(plan, progress).await,
        Name::Allocations => allocations::run(plan, progress).await,
        Name::FlowShow => flow_show::run(plan, progress).await,
        Name::ReplayView => replay_view::run(plan, progress).await,
        Name::Sizing => sizing::run(plan, progress).await,
    };
    measured.map(Scenario::finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contestants::Runtime;

    fn plan(kinds_named: bool) -> Plan {
        Plan {
            bench: Bench { logs: "logs".into(), runtime: Runtime::MultiThread },
            kinds: vec![Kind::Raw, Kind::RawOtel, Kind::Laban, Kind::Watermill],
            kinds_named,
            allocators: vec![Allocator::System, Allocator::Mimalloc],
            quick: false,
            rounds: None,
            flows: None,
        }
    }

    fn names(entrants: Vec<Entrant>) -> Vec<String> {
        entrants.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_order_rotates_and_nobody_is_left_out() {
        let plan = plan(false);
        let first = names(plan.entrants(0));
        assert_eq!(first[..4], ["raw", "raw-otel", "laban", "raw+mimalloc"]);
        let second = names(plan.entrants(1));
        assert_eq!((second.len(), &second[..6]), (7, &first[1..]));
        assert_eq!(first[6], "watermill");
        assert_eq!(names(plan.entrants(7)), first);
    }

    #[test]
    fn what_takes_long_is_for_few_unless_they_are_named() {
        assert_eq!(names(plan(false).few_entrants(0, &[Kind::Raw, Kind::Laban])), ["raw", "laban"]);
        assert_eq!(names(plan(true).few_entrants(0, &[Kind::Raw])).len(), 4);
    }
}
