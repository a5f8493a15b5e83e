//! Publishing alone, and consuming alone: which half of a hop costs what.

use super::{Plan, chain, rotated};
use crate::driver::{Bench, Layout, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    role: &'static str,
    traced: bool,
}

const PUBLISHING: [Case; 3] = [
    Case { name: "raw", role: "raw-publish", traced: false },
    Case { name: "laban", role: "laban-publish", traced: true },
    Case { name: "laban-untraced", role: "laban-publish", traced: false },
];
const CONSUMING: [Case; 3] = [
    Case { name: "raw", role: "raw-consume", traced: false },
    Case { name: "laban", role: "laban-consume", traced: true },
    Case { name: "laban-untraced", role: "laban-consume", traced: false },
];

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(50_000, 2_000), plan.rounds(3));
    let what = format!(
        "{flows} events, {rounds} rounds; publishing with 256 acknowledgements outstanding; consuming: raw acknowledges, \
         Laban also records that its handler, which emits nothing, is done"
    );
    let mut scenario = Scenario::new("rates", what)
        .measuring("published_per_s", "published/s", Some("raw"))
        .measuring("publish_cpu_s_per_10k", "CPU s/10k", Some("raw"))
        .measuring("consumed_per_s", "consumed/s", Some("raw"))
        .measuring("consume_cpu_s_per_10k", "CPU s/10k", Some("raw"));
    let allocator = plan.allocator();
    let stage = progress.stage("rates", rounds * (PUBLISHING.len() + CONSUMING.len()));
    for round in 0..rounds {
        for case in rotated(PUBLISHING.to_vec(), round) {
            stage.at(round, rounds, &case.role);
            let setup = case.setup(plan)?.arg("--count", flows);
            let (rate, cpu) = publish(&plan.bench, setup, flows).await?;
            scenario.sample("published_per_s", case.name, Some(allocator.name()), rate);
            scenario.sample("publish_cpu_s_per_10k", case.name, Some(allocator.name()), cpu);
            stage.step(&format!("{} publishes {rate:.0}/s", case.name));
        }
        for case in rotated(CONSUMING.to_vec(), round) {
            stage.at(round, rounds, &case.role);
            let cost = chain::once(&plan.bench, case.setup(plan)?, flows).await?;
            let mut sample = |measure, value| {
                scenario.sample(measure, case.name, Some(allocator.name()), value);
            };
            sample("consumed_per_s", cost.flows_per_s);
            sample("consume_cpu_s_per_10k", cost.client_cpu_per_10k);
            stage.step(&format!("{} consumes {:.0}/s", case.name, cost.flows_per_s));
        }
    }
    stage.done();
    Ok(scenario)
}

impl Case {
    fn setup(self, plan: &Plan) -> Result<Setup> {
        let by_hand = Layout::shared(false, 0);
        let layout = match self.role {
            "raw-publish" => by_hand.of_publisher(),
            "laban-publish" => Layout::homes(self.traced).of_publisher(),
            "raw-consume" => by_hand.until_acknowledged(),
            _ => Layout::one_home(self.traced, "take", 0),
        };
        let setup = Setup::role(&plan.bench, plan.allocator(), self.role, layout)?;
        Ok(if self.traced { setup.traced(1) } else { setup })
    }
}

/// Events per second by the publisher's own clock, and its CPU seconds per 10,000.
async fn publish(bench: &Bench, setup: Setup, flows: u64) -> Result<(f64, f64)> {
    let mut rig = Rig::start(bench, setup).await?;
    let before = rig.used()?;
    rig.expect(flows);
    let done = rig.ask("go", "done").await?;
    rig.all_arrived().await?;
    let ended = rig.stop().await?;
    let seconds = done["seconds"].as_f64().unwrap_or(f64::NAN);
    Ok((flows as f64 / seconds, (ended.client_cpu - before.client) * 10_000.0 / flows as f64))
}
