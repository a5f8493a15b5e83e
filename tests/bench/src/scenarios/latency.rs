//! How long one flow takes, from its root event to its last, when it is alone.

use std::time::Duration;

use super::Plan;
use crate::driver::{Bench, Rig, Setup};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::report::Scenario;
use crate::stats::{Slices, percentile};

/// Flows before those that count.
const WARM_UP: u64 = 200;
/// How long one flow may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(200, 50), plan.rounds(6));
    let what = format!(
        "one flow at a time, {rounds} slices of {flows} each; ms from the root event's publish to the last event's arrival"
    );
    let mut scenario = Scenario::new("latency", what).measuring("p50_ms", "p50 ms", Some("raw")).measuring(
        "p99_ms",
        "p99 ms",
        Some("raw"),
    );
    let mut slices = Slices::default();
    let stage = progress.stage("latency", rounds * plan.entrants(0).len());
    for round in 0..rounds {
        for entrant in plan.entrants(round) {
            stage.at(round, rounds, &entrant);
            let millis = once(&plan.bench, Setup::chain(&plan.bench, entrant)?, flows).await?;
            stage.step(&format!("{entrant}: p50 {:.2} ms", percentile(&millis, 50.0).unwrap_or_default()));
            slices.add(&mut scenario, entrant.row(), millis);
        }
    }
    slices.pool(&mut scenario);
    stage.done();
    Ok(scenario)
}

async fn once(bench: &Bench, setup: Setup, flows: u64) -> Result<Vec<f64>> {
    let mut rig = Rig::start(bench, setup).await?;
    rig.warm_up(WARM_UP).await?;
    let mut arrivals = rig.arrivals().await?;
    let mut millis = Vec::new();
    for _ in 0..flows {
        let (flow, published) = rig.publish_one().await?;
        let arrival = tokio::time::timeout(PATIENCE, arrivals.next()).await;
        let (arrived, at) =
            arrival.map_err(|_| Error::new(format!("flow {flow} did not end within {PATIENCE:?}")))??;
        if arrived != flow {
            return Err(Error::new(format!("waited for flow {flow}, and {arrived} came")));
        }
        millis.push((at - published).as_secs_f64() * 1e3);
    }
    rig.stop().await?;
    Ok(millis)
}
