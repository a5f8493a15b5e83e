//! What becomes of Laban with full streams, with more instances, and with a backlog.

use std::time::{Duration, Instant};

use super::{Plan, chain, rotated};
use crate::driver::{Entrant, Kind, Rig, Setup};
use crate::error::Result;
use crate::progress::Progress;
use crate::report::Scenario;

#[derive(Clone, Copy)]
enum Case {
    /// So many events in the streams beforehand.
    Retained(u64),
    /// So many processes, each with all four services.
    Instances(usize),
    /// So many events that wait when the services start.
    Backlog(u64),
}

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (flows, rounds) = (plan.size(20_000, 1_000), plan.rounds(2));
    let what = format!(
        "laban, traced: {flows} flows through four handlers, with events that are in the streams already, and with more \
         processes; and while a backlog is being worked off; {rounds} rounds"
    );
    let mut scenario = Scenario::new("growth", what)
        .measuring("flows_per_s", "flows/s", Some("1 instance"))
        .measuring("client_cpu_s_per_10k", "client CPU", Some("1 instance"))
        .measuring("broker_cpu_s_per_10k", "broker CPU", Some("1 instance"))
        .measuring("peak_rss_mib", "RSS MiB", Some("1 instance"));
    let many = plan.size(1_000_000, 10_000);
    let cases = [
        Case::Instances(1),
        Case::Instances(2),
        Case::Instances(4),
        Case::Retained(many / 100),
        Case::Retained(many / 10),
        Case::Retained(many),
        Case::Backlog(many / 100),
        Case::Backlog(many),
    ];
    let entrant = Entrant { kind: Kind::Laban, allocator: plan.allocator() };
    let stage = progress.stage("growth", rounds * cases.len());
    for round in 0..rounds {
        for case in rotated(cases.to_vec(), round) {
            let name = case.name();
            stage.at(round, rounds, &name);
            let setup = Setup::chain(&plan.bench, entrant)?;
            let cost = case.run(Rig::prepare(&plan.bench, setup).await?, flows).await?;
            let mut sample = |measure, value| {
                scenario.sample(measure, &name, Some(entrant.allocator.name()), value);
            };
            sample("flows_per_s", cost.flows_per_s);
            sample("client_cpu_s_per_10k", cost.client_cpu_per_10k);
            sample("broker_cpu_s_per_10k", cost.broker_cpu_per_10k);
            sample("peak_rss_mib", cost.peak_rss_mib);
            stage.step(&format!("{name}: {:.0} flows/s, {:.0} MiB", cost.flows_per_s, cost.peak_rss_mib));
        }
    }
    stage.done();
    Ok(scenario)
}

impl Case {
    fn name(self) -> String {
        match self {
            Self::Instances(1) => "1 instance".to_owned(),
            Self::Instances(count) => format!("{count} instances"),
            Self::Retained(events) => format!("{events} retained"),
            Self::Backlog(events) => format!("{events} waiting"),
        }
    }

    async fn run(self, mut rig: Rig, flows: u64) -> Result<chain::Cost> {
        match self {
            Self::Instances(count) => {
                for _ in 0..count {
                    rig.join().await?;
                }
                chain::measure(rig, flows).await
            }
            Self::Retained(events) => {
                rig.retain(events).await?;
                rig.join().await?;
                chain::measure(rig, flows).await
            }
            Self::Backlog(events) => backlog(rig, events, flows.min(events)).await,
        }
    }
}

/// The services start with a backlog, and work at it until so many flows have ended; the rest stays.
async fn backlog(mut rig: Rig, waiting: u64, flows: u64) -> Result<chain::Cost> {
    rig.publish(waiting).await?;
    let before = rig.used()?;
    rig.join().await?;
    let began = Instant::now();
    while rig.ended_flows().await? < flows as f64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (ended, seconds) = (rig.ended_flows().await?, began.elapsed().as_secs_f64());
    let (used, peak_rss_mib) = (rig.used()?, rig.peak_rss_mib()?);
    let per_10k = 10_000.0 / ended;
    Ok(chain::Cost {
        flows_per_s: ended / seconds,
        client_cpu_per_10k: used.client * per_10k,
        broker_cpu_per_10k: (used.broker - before.broker) * per_10k,
        peak_rss_mib,
        spans_percent: None,
    })
}
