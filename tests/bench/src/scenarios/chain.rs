//! How many flows per second a chain of four handlers takes, and what they cost.

use std::time::Instant;

use super::Plan;
use crate::driver::{Bench, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

/// Flows before those that count.
const WARM_UP: u64 = 1_000;

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let flows = plan.flows.unwrap_or(plan.size(20_000, 1_000));
    let rounds = plan.rounds(6);
    let what = format!(
        "{flows} flows through four handlers, 64 in flight per service, {rounds} rounds; CPU is seconds per 10,000 flows"
    );
    let mut scenario = Scenario::new("chain", what)
        .measuring("flows_per_s", "flows/s", Some("raw"))
        .measuring("client_cpu_s_per_10k", "client CPU", Some("raw"))
        .measuring("broker_cpu_s_per_10k", "broker CPU", Some("raw"))
        .measuring("peak_rss_mib", "RSS MiB", None)
        .measuring("spans_percent", "spans %", None);
    let stage = progress.stage("chain", rounds * plan.entrants(0).len());
    for round in 0..rounds {
        for entrant in plan.entrants(round) {
            stage.at(round, rounds, &entrant);
            let cost = once(&plan.bench, Setup::chain(&plan.bench, entrant)?, flows).await?;
            let (name, allocator) = entrant.row();
            let mut sample = |measure, value| scenario.sample(measure, name, allocator, value);
            sample("flows_per_s", cost.flows_per_s);
            sample("client_cpu_s_per_10k", cost.client_cpu_per_10k);
            sample("broker_cpu_s_per_10k", cost.broker_cpu_per_10k);
            sample("peak_rss_mib", cost.peak_rss_mib);
            if let Some(percent) = cost.spans_percent {
                sample("spans_percent", percent);
            }
            stage.step(&format!("{entrant}: {:.0} flows/s", cost.flows_per_s));
        }
    }
    stage.done();
    Ok(scenario)
}

/// What one run costs.
pub(super) struct Cost {
    pub(super) flows_per_s: f64,
    pub(super) client_cpu_per_10k: f64,
    pub(super) broker_cpu_per_10k: f64,
    pub(super) peak_rss_mib: f64,
    pub(super) spans_percent: Option<f64>,
}

/// One run of a chain: warm up, preload, go, wait for all, stop.
pub(super) async fn once(bench: &Bench, setup: Setup, flows: u64) -> Result<Cost> {
    measure(Rig::start(bench, setup).await?, flows).await
}

/// The same, with contestants that consume already.
pub(super) async fn measure(mut rig: Rig, flows: u64) -> Result<Cost> {
    rig.warm_up(WARM_UP.min(flows)).await?;
    rig.preload(flows).await?;
    let before = rig.used()?;
    let began = Instant::now();
    rig.go().await?;
    let seconds = (rig.all_arrived().await? - began).as_secs_f64();
    let broker = rig.used()?.broker - before.broker;
    // Up to its end, so that what is put off (spans) counts, too.
    let ended = rig.stop().await?;
    let per_10k = 10_000.0 / flows as f64;
    Ok(Cost {
        flows_per_s: flows as f64 / seconds,
        client_cpu_per_10k: (ended.client_cpu - before.client) * per_10k,
        broker_cpu_per_10k: broker * per_10k,
        peak_rss_mib: ended.peak_rss_mib,
        spans_percent: ended.spans_percent,
    })
}
