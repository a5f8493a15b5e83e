//! What each header costs: the chain by hand, with more and more of them.

use super::{Plan, chain, rotated};
use crate::driver::{Layout, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

/// How many headers, and what the last of them is.
const CASES: [(usize, &str); 6] = [
    (0, "none"),
    (1, "1: Laban"),
    (2, "2: traceparent"),
    (3, "3: fence, sequence"),
    (4, "4: fence, subject"),
    (8, "8: four more of 32 bytes"),
];

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(20_000, 1_000), plan.rounds(4));
    let what = format!(
        "the chain by hand, each event with headers such as Laban's, {flows} flows, {rounds} rounds; CPU is seconds per 10,000 flows"
    );
    let mut scenario = Scenario::new("headers", what)
        .measuring("flows_per_s", "flows/s", Some("none"))
        .measuring("client_cpu_s_per_10k", "client CPU", Some("none"))
        .measuring("broker_cpu_s_per_10k", "broker CPU", Some("none"));
    let allocator = plan.allocator();
    let stage = progress.stage("headers", rounds * CASES.len());
    for round in 0..rounds {
        for (headers, name) in rotated(CASES.to_vec(), round) {
            stage.at(round, rounds, &name);
            let setup = Setup::role(&plan.bench, allocator, "raw", Layout::shared(false, headers))?
                .arg("--headers", headers);
            let cost = chain::once(&plan.bench, setup, flows).await?;
            let mut sample = |measure, value| scenario.sample(measure, name, Some(allocator.name()), value);
            sample("flows_per_s", cost.flows_per_s);
            sample("client_cpu_s_per_10k", cost.client_cpu_per_10k);
            sample("broker_cpu_s_per_10k", cost.broker_cpu_per_10k);
            stage.step(&format!("{name}: {:.0} flows/s", cost.flows_per_s));
        }
    }
    stage.done();
    Ok(scenario)
}
