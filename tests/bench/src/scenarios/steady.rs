//! How long flows take at fifty per second, and what they cost then: an open loop, in which nobody waits for anybody.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Plan;
use crate::driver::{Bench, Kind, Rig, Setup};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::report::Scenario;
use crate::stats::{Slices, percentile};

/// Root events per second.
const RATE: u64 = 50;
/// Flows before those that count.
const WARM_UP: u64 = 200;
/// How long the last flows may take.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (seconds, rounds) = (plan.size(20, 2), plan.rounds(6));
    let what = format!(
        "{RATE} flows/s, open loop, {rounds} slices of {seconds} s each; ms from publish to arrival; CPU is ms per flow"
    );
    let mut scenario = Scenario::new("steady", what)
        .measuring("p50_ms", "p50 ms", Some("raw"))
        .measuring("p99_ms", "p99 ms", Some("raw"))
        .measuring("client_cpu_ms_per_flow", "client CPU", Some("raw"));
    let who = |round| plan.few_entrants(round, &[Kind::Raw, Kind::RawFencedOtel, Kind::Laban]);
    let mut slices = Slices::default();
    let stage = progress.stage("steady", rounds * who(0).len());
    for round in 0..rounds {
        for entrant in who(round) {
            stage.at(round, rounds, &entrant);
            let setup = Setup::chain(&plan.bench, entrant)?;
            let (millis, cpu) = once(&plan.bench, setup, seconds * RATE).await?;
            stage.step(&format!("{entrant}: p99 {:.2} ms", percentile(&millis, 99.0).unwrap_or_default()));
            let (name, allocator) = entrant.row();
            scenario.sample("client_cpu_ms_per_flow", name, allocator, cpu);
            slices.add(&mut scenario, entrant.row(), millis);
        }
    }
    slices.pool(&mut scenario);
    stage.done();
    Ok(scenario)
}

/// Milliseconds of each flow, and of CPU per flow.
async fn once(bench: &Bench, setup: Setup, flows: u64) -> Result<(Vec<f64>, f64)> {
    let mut rig = Rig::start(bench, setup).await?;
    rig.warm_up(WARM_UP).await?;
    let mut arrivals = rig.arrivals().await?;
    let receiving = tokio::spawn(async move {
        let mut arrived = HashMap::new();
        while arrived.len() < flows as usize {
            let (flow, at) = arrivals.next().await?;
            arrived.insert(flow, at);
        }
        Ok::<_, Error>(arrived)
    });
    let before = rig.used()?;
    let mut published = Vec::new();
    let mut ticks = interval(Duration::from_secs(1) / RATE as u32);
    // A tick that comes late must not be followed by a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..flows {
        ticks.tick().await;
        published.push(rig.publish_one().await?);
    }
    let arrived = match tokio::time::timeout(PATIENCE, receiving).await {
        Ok(Ok(arrived)) => arrived?,
        Ok(Err(error)) => return Err(Error::new(format!("cannot watch for last events: {error}"))),
        Err(_) => return Err(Error::new(format!("not all flows ended within {PATIENCE:?}"))),
    };
    let ended = rig.stop().await?;
    let millis = published
        .iter()
        .filter_map(|(flow, at)| Some((*arrived.get(flow)? - *at).as_secs_f64() * 1e3))
        .collect();
    Ok((millis, (ended.client_cpu - before.client) * 1e3 / flows as f64))
}
