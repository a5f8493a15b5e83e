//! How many commits Laban makes per second when a reaction has one output, or several.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream::StorageType;

use super::{Plan, rotated};
use crate::driver::{Bench, Layout, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

/// Flows before those that count.
const WARM_UP: u64 = 200;

/// Where home streams are: what it is called, where it is kept, in how many copies.
const PLACES: [(&str, StorageType, usize); 3] = [
    ("R1 file", StorageType::File, 1),
    ("R1 memory", StorageType::Memory, 1),
    ("R3 file", StorageType::File, 3),
];

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (rounds, seconds) = (plan.rounds(3), if plan.quick { 0.3 } else { 1.5 });
    let what = format!(
        "one handler that emits 1, 3, 10 events in one commit, traced, for {seconds} s, {rounds} rounds; R3 is three nodes on this machine"
    );
    let mut scenario = Scenario::new("commit", what)
        .measuring("commits_per_s", "commits/s", None)
        .measuring("outputs_per_s", "outputs/s", None)
        .measuring("client_cpu_s_per_10k", "CPU s/10k", None);
    let mut cases = Vec::new();
    for place in PLACES {
        cases.extend([1, 3, 10].map(|outputs| (place, outputs)));
    }
    let mut allocators = vec![plan.allocator()];
    if plan.allocators.len() > 1 {
        allocators = plan.allocators.clone();
        // The others tell no more with another allocator.
        cases.sort_by_key(|(place, outputs)| (place.0 != "R1 file" || *outputs != 3, place.0, *outputs));
    }
    let mut runs = Vec::new();
    for (index, allocator) in allocators.into_iter().enumerate() {
        let wanted = if index == 0 { cases.len() } else { 1 };
        runs.extend(cases.iter().take(wanted).map(|case| (*case, allocator)));
    }
    let stage = progress.stage("commit", rounds * runs.len());
    for round in 0..rounds {
        for (((place, storage, replicas), outputs), allocator) in rotated(runs.clone(), round) {
            let name = format!("{place}, {outputs} output{}", if outputs == 1 { "" } else { "s" });
            stage.at(round, rounds, &name);
            let setup = Setup::role(
                &plan.bench,
                allocator,
                "laban-commit",
                Layout::one_home(true, "split", outputs),
            )?
            .arg("--outputs", outputs)
            // One span for the handler, one for each event it emits.
            .traced(1 + outputs)
            .kept(storage, replicas);
            let (commits, cpu) = once(&plan.bench, setup, seconds, plan.size(40_000, 1_000)).await?;
            let mut sample = |measure, value| scenario.sample(measure, &name, Some(allocator.name()), value);
            sample("commits_per_s", commits);
            sample("outputs_per_s", commits * outputs as f64);
            sample("client_cpu_s_per_10k", cpu);
            stage.step(&format!("{name}: {commits:.0} commits/s"));
        }
    }
    stage.done();
    Ok(scenario)
}

/// Commits per second, over some seconds or until there is nothing more to do; and CPU seconds per 10,000 of them.
async fn once(bench: &Bench, setup: Setup, seconds: f64, flows: u64) -> Result<(f64, f64)> {
    let mut rig = Rig::start(bench, setup).await?;
    rig.warm_up(WARM_UP).await?;
    rig.preload(flows).await?;
    let before = rig.used()?;
    let began = Instant::now();
    rig.go().await?;
    let (ended, at) = rig.arrived_until(Some(began + Duration::from_secs_f64(seconds))).await?;
    let after = rig.used()?;
    let commits = ended - WARM_UP as f64;
    rig.stop().await?;
    Ok((commits / (at - began).as_secs_f64(), (after.client - before.client) * 10_000.0 / commits.max(1.0)))
}
