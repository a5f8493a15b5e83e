//! How long four services take to start and to stop, and how large a service is.

use std::time::Duration;

use super::Plan;
use crate::driver::build::{self, target_dir};
use crate::driver::{Bench, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(20_000, 2_000), plan.rounds(5));
    let what = format!(
        "ms from the start of a process until its four services consume on a fresh broker, {rounds} rounds; drain: ms from the \
         signal to stop, in the midst of {flows} flows, until it has; MB of the binary, of which the contestants of this package share one"
    );
    let mut scenario = Scenario::new("startup", what)
        .measuring("start_ms", "start ms", Some("raw"))
        .measuring("drain_ms", "drain ms", None)
        .measuring("binary_mb", "binary MB", None);
    let who = |round| plan.in_turn(round, &plan.kinds, &[plan.allocator()]);
    let stage = progress.stage("startup", rounds * who(0).len());
    for round in 0..rounds {
        for entrant in who(round) {
            stage.at(round, rounds, &entrant);
            let setup = Setup::chain(&plan.bench, entrant)?;
            let program = setup.program().to_owned();
            let (start, drain) = once(&plan.bench, setup, flows).await?;
            let (name, allocator) = entrant.row();
            scenario.sample("start_ms", name, allocator, start.as_secs_f64() * 1e3);
            scenario.sample("drain_ms", name, allocator, drain.as_secs_f64() * 1e3);
            if round == 0 {
                scenario.sample("binary_mb", name, allocator, build::megabytes(&program)?);
            }
            stage.step(&format!("{entrant}: ready after {start:.1?}, drained within {drain:.1?}"));
        }
    }
    // A real service, where it has been built.
    let shop = target_dir()?.join("release").join("payment");
    if shop.exists() {
        scenario.sample("binary_mb", "the shop's payment", Some("system"), build::megabytes(&shop)?);
    }
    stage.done();
    Ok(scenario)
}

async fn once(bench: &Bench, setup: Setup, flows: u64) -> Result<(Duration, Duration)> {
    let mut rig = Rig::prepare(bench, setup).await?;
    let start = rig.join().await?;
    rig.preload(flows).await?;
    rig.go().await?;
    // In the midst: when a tenth of them has gone all the way.
    while rig.ended_flows().await? < flows as f64 / 10.0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let ended = rig.stop().await?;
    Ok((start, ended.drain))
}
