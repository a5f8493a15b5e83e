//! How often, and how much, a hop allocates.

use super::Plan;
use crate::driver::{Allocator, Bench, Entrant, HOPS, Kind, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

/// Flows before those that count.
const WARM_UP: u64 = 1_000;

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(5_000, 500), plan.rounds(2));
    let what =
        format!("what a hop allocates, all that the process does counted, {flows} flows, {rounds} rounds");
    let mut scenario = Scenario::new("allocations", what)
        .measuring("allocations_per_hop", "allocations/hop", Some("raw"))
        .measuring("bytes_per_hop", "bytes/hop", Some("raw"));
    let kinds = [Kind::Raw, Kind::RawOtel, Kind::Laban, Kind::LabanUntraced];
    let kinds: Vec<Kind> = kinds.into_iter().filter(|kind| plan.kinds.contains(kind)).collect();
    let stage = progress.stage("allocations", rounds * kinds.len());
    for round in 0..rounds {
        for entrant in plan.in_turn(round, &kinds, &[Allocator::Counting]) {
            stage.at(round, rounds, &entrant);
            let (allocations, bytes) = once(&plan.bench, entrant, flows).await?;
            let (name, allocator) = entrant.row();
            scenario.sample("allocations_per_hop", name, allocator, allocations);
            scenario.sample("bytes_per_hop", name, allocator, bytes);
            stage.step(&format!("{entrant}: {allocations:.0} allocations, {bytes:.0} bytes"));
        }
    }
    stage.done();
    Ok(scenario)
}

async fn once(bench: &Bench, entrant: Entrant, flows: u64) -> Result<(f64, f64)> {
    let mut rig = Rig::start(bench, Setup::chain(bench, entrant)?).await?;
    rig.warm_up(WARM_UP).await?;
    rig.preload(flows).await?;
    let before = rig.counted().await?;
    rig.go().await?;
    rig.all_arrived().await?;
    let after = rig.counted().await?;
    rig.stop().await?;
    let hops = (flows * HOPS) as f64;
    let per_hop = |after: u64, before: u64| after.saturating_sub(before) as f64 / hops;
    Ok((per_hop(after.allocations, before.allocations), per_hop(after.bytes, before.bytes)))
}
