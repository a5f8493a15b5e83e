//! What history costs: bytes on disk and in the broker's memory, by flow and by subject.

mod broker;
mod shop;

use async_nats::jetstream;
use laban_flow::streams::Stream;
use laban_testkit::Broker;

use self::broker::{Profiled, disk_bytes};
use self::shop::Flows;
use super::Plan;
use crate::driver::{home, publish_all};
use crate::error::{Doing as _, Result};
use crate::progress::Progress;
use crate::report::Scenario;

const MIB: f64 = 1_048_576.0;
/// Flows of which records lie side by side: as many as are under way at once.
const UNDER_WAY: usize = 100;

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let orders = [plan.size(500, 20) as usize, plan.size(2_000, 40) as usize];
    let written = [0, plan.size(100_000, 500), plan.size(300_000, 1_000)];
    let what = "what a flow of the shop costs: orders placed at real services, and records of the same shape written by hand; a \
                broker on one node, on file, restarted, its garbage collected";
    let mut scenario = Scenario::new("sizing", what)
        .measuring("records", "records", None)
        .measuring("subjects", "subjects", None)
        .measuring("kept_bytes", "kept B", None)
        .measuring("disk_bytes", "disk B", None)
        .measuring("heap_mib", "heap MiB", None)
        .measuring("rss_mib", "RSS MiB", None)
        .measuring("rss_at_work_mib", "at work", None)
        .measuring("heap_per_subject", "heap B/subject", None)
        .measuring("rss_per_subject", "RSS B/subject", None)
        .measuring("rss_at_work_per_subject", "at work", None);
    let stage = progress.stage("sizing", orders.len() + written.len());
    let mut flows = Flows::default();
    for (done, count) in orders.into_iter().enumerate() {
        let name = format!("{count} orders");
        stage.at(done, orders.len(), &name);
        let broker;
        (broker, flows) = shop::place(count).await?;
        let weighed = Weighed::of(broker).await?;
        weighed.tell(&mut scenario, &name, count as u64, None);
        stage.step(&format!("{name}: {}", weighed.words()));
    }
    let mut before = None;
    for (done, count) in written.into_iter().enumerate() {
        let name = format!("{count} written");
        stage.at(done, written.len(), &name);
        let broker = Profiled::start().await?;
        write(broker.broker(), &flows, count).await?;
        let weighed = Weighed::of(broker).await?;
        weighed.tell(&mut scenario, &name, count, before.as_ref());
        stage.step(&format!("{name}: {}", weighed.words()));
        before = Some(weighed);
    }
    stage.done();
    Ok(scenario)
}

/// Records of so many flows, each as one that the shop had, in the order in which flows under way would have them.
async fn write(broker: &Broker, flows: &Flows, count: u64) -> Result<()> {
    let client = async_nats::connect(broker.url()).await.doing("connect")?;
    let js = jetstream::new(client.clone());
    for service in flows.services() {
        js.create_stream(home(service)).await.doing("make a home stream")?;
    }
    let groups = (0..count).step_by(UNDER_WAY);
    let records = groups.flat_map(|first| {
        let group = first..count.min(first + UNDER_WAY as u64);
        (0..flows.longest())
            .flat_map(move |nth| group.clone().filter_map(move |flow| flows.record(flow, nth)))
    });
    publish_all(&client, records).await.map(drop)
}

/// What a broker has and takes.
struct Weighed {
    records: u64,
    subjects: u64,
    kept: u64,
    disk: u64,
    rss_at_work: u64,
    rss: u64,
    heap: u64,
}

impl Weighed {
    /// Of a broker that has nothing more to do. At work it is as it was left, with all that it had in hand.
    async fn of(mut broker: Profiled) -> Result<Self> {
        let rss_at_work = broker.rss()?;
        broker.restart().await?;
        let client = async_nats::connect(broker.broker().url()).await.doing("connect")?;
        let streams = Stream::all(&client).await.doing("list the streams")?;
        let sum = |of: fn(&Stream) -> u64| streams.iter().map(of).sum();
        let heap = broker.collected().await?;
        Ok(Self {
            records: sum(|stream| stream.messages),
            subjects: sum(|stream| stream.subjects),
            kept: sum(|stream| stream.bytes),
            disk: disk_bytes(broker.broker().store_dir())?,
            rss_at_work,
            rss: broker.rss()?,
            heap,
        })
    }

    fn tell(&self, scenario: &mut Scenario, row: &str, flows: u64, before: Option<&Self>) {
        let a_flow = |all: u64| all as f64 / flows.max(1) as f64;
        let mut sample = |measure, value| scenario.sample(measure, row, None, value);
        sample("records", a_flow(self.records));
        sample("subjects", a_flow(self.subjects));
        sample("kept_bytes", a_flow(self.kept));
        sample("disk_bytes", a_flow(self.disk));
        sample("heap_mib", self.heap as f64 / MIB);
        sample("rss_mib", self.rss as f64 / MIB);
        sample("rss_at_work_mib", self.rss_at_work as f64 / MIB);
        let Some(before) = before else { return };
        // What does not grow with history is in both.
        let subjects = self.subjects.saturating_sub(before.subjects).max(1) as f64;
        let a_subject = |all: u64, before: u64| all.saturating_sub(before) as f64 / subjects;
        sample("heap_per_subject", a_subject(self.heap, before.heap));
        sample("rss_per_subject", a_subject(self.rss, before.rss));
        sample("rss_at_work_per_subject", a_subject(self.rss_at_work, before.rss_at_work));
    }

    fn words(&self) -> String {
        format!(
            "{} records, {} subjects, {:.0} MB on disk, {:.0} MiB of memory, {:.0} MiB at work",
            self.records,
            self.subjects,
            self.disk as f64 / 1e6,
            self.rss as f64 / MIB,
            self.rss_at_work as f64 / MIB
        )
    }
}
