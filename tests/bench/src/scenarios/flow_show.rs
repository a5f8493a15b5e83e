//! How long it takes to read one flow, and to list some, with many retained.

use std::time::Instant;

use async_nats::HeaderMap;
use async_nats::jetstream;
use bytes::Bytes;
use laban_flow::{Flow, Flows, Mesh, Query};
use laban_testkit::Broker;
use laban_wire::{EventId, FlowReader, HEADER, Meta, Reaction, TRACEPARENT, TraceParent};

use super::Plan;
use crate::driver::{Root, home, publish_all};
use crate::error::{Doing as _, Error, Result};
use crate::progress::Progress;
use crate::report::Scenario;
use crate::stats::percentile;

/// A flow: an event of each of these services, each the cause of the next.
pub(super) const EVENTS: [(&str, &str, &str); 5] = [
    ("order", "placed", ""),
    ("payment", "captured", "charge"),
    ("inventory", "reserved", "reserve"),
    ("shipping", "dispatched", "dispatch"),
    ("notification", "sent", "tell"),
];
/// Flows of which events lie side by side: as many as are under way at once.
const UNDER_WAY: u64 = 100;
const ALLOCATOR: Option<&str> = Some("system");

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (reads, rounds) = (plan.size(300, 20), plan.rounds(3));
    let what = format!(
        "Flow::read of {} events in {} streams, {reads} flows drawn at random, the first ones after a restart of the broker; \
         {rounds} rounds. And how many flows a second are listed",
        EVENTS.len(),
        EVENTS.len()
    );
    let mut scenario = Scenario::new("flow-show", what)
        .measuring("p50_ms", "p50 ms", None)
        .measuring("p90_ms", "p90 ms", None)
        .measuring("p99_ms", "p99 ms", None)
        .measuring("first_ms", "first ms", None)
        .measuring("listed_per_s", "listed/s", None);
    let most = plan.size(1_000_000, 10_000);
    let sizes = [most / 100, most / 10, most];
    let stage = progress.stage("flow-show", sizes.len() * rounds);
    for retained in sizes {
        let name = format!("{retained} retained");
        let mut broker = Broker::start().await?;
        let flows = retained / EVENTS.len() as u64;
        load(&broker, flows).await?;
        let mut all = Vec::new();
        for round in 0..rounds {
            stage.at(round, rounds, &name);
            broker.restart().await?;
            let (first, millis) = read(&broker, flows, reads, round as u64).await?;
            for (measure, percent) in [("p50_ms", 50.0), ("p90_ms", 90.0), ("p99_ms", 99.0)] {
                scenario.sample(measure, &name, ALLOCATOR, percentile(&millis, percent).unwrap_or_default());
            }
            scenario.sample("first_ms", &name, ALLOCATOR, first);
            scenario.sample("listed_per_s", &name, ALLOCATOR, list(&broker, flows.min(2_000)).await?);
            stage.step(&format!("{name}: p50 {:.1} ms", percentile(&millis, 50.0).unwrap_or_default()));
            all.extend(millis);
        }
        for (measure, percent) in [("p50_ms", 50.0), ("p90_ms", 90.0), ("p99_ms", 99.0)] {
            scenario.figure(measure, &name, ALLOCATOR, percentile(&all, percent).unwrap_or_default());
        }
    }
    stage.done();
    Ok(scenario)
}

/// All events, in the order in which so many flows under way would have them.
pub(super) async fn load(broker: &Broker, flows: u64) -> Result<()> {
    let client = async_nats::connect(broker.url()).await.doing("connect")?;
    let js = jetstream::new(client.clone());
    for (service, ..) in EVENTS {
        js.create_stream(home(service)).await.doing("make a home stream")?;
    }
    let groups = (0..flows).step_by(UNDER_WAY as usize);
    let messages = groups.flat_map(|first| {
        let group = first..flows.min(first + UNDER_WAY);
        (0..EVENTS.len()).flat_map(move |step| group.clone().map(move |flow| message(flow, step)))
    });
    publish_all(&client, messages).await.map(drop)
}

fn key(flow: u64) -> String {
    format!("order-{flow}")
}

/// Event number `step` of a flow, of some 300 bytes.
fn message(flow: u64, step: usize) -> Root {
    let (service, event, handler) = EVENTS[step];
    let name = |step: usize| format!("{}.{}", EVENTS[step].0, EVENTS[step].1);
    let id = |step: usize| EventId::foreign("flow-show", &format!("{flow}/{step}"));
    let reaction = (step > 0).then(|| Reaction {
        cause: id(step - 1),
        on: name(step - 1).parse().unwrap_or_else(|_| unreachable!("it is an event type")),
        handler: handler.into(),
        attempt: 1,
        queue_ms: Default::default(),
        handle_ms: Default::default(),
    });
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, Meta { id: id(step), version: Some(1), reaction }.to_header());
    let trace = TraceParent { trace_id: u128::from(flow) + 1, span_id: step as u64 + 1, flags: 1 };
    headers.insert(TRACEPARENT, trace.to_header());
    let body = format!(r#"{{"order_id":"{}","filler":"{}"}}"#, key(flow), "x".repeat(250));
    Root {
        subject: format!("{service}.{event}.{}", key(flow)),
        headers: Some(headers),
        payload: Bytes::from(body),
    }
}

/// The first read, and all others, in milliseconds.
async fn read(broker: &Broker, flows: u64, reads: u64, round: u64) -> Result<(f64, Vec<f64>)> {
    let client = async_nats::connect(broker.url()).await.doing("connect")?;
    let mesh = Mesh::discover(&client).await.doing("discover the mesh")?;
    let reader = FlowReader::new(client);
    let mut drawn = fastrand::Rng::with_seed(round);
    let mut millis = Vec::new();
    for _ in 0..=reads {
        let flow = key(drawn.u64(..flows)).parse().doing("name a flow")?;
        let began = Instant::now();
        let read = Flow::read(reader.clone(), &mesh, &flow).await.doing("read a flow")?;
        millis.push(began.elapsed().as_secs_f64() * 1e3);
        let steps = read.map_or(0, |flow| flow.steps.len());
        if steps != EVENTS.len() {
            return Err(Error::new(format!("flow {flow}: {steps} steps, expected {}", EVENTS.len())));
        }
    }
    Ok((millis.remove(0), millis))
}

/// The newest flows, one after the other: how many a second.
async fn list(broker: &Broker, flows: u64) -> Result<f64> {
    let client = async_nats::connect(broker.url()).await.doing("connect")?;
    let mesh = Mesh::discover(&client).await.doing("discover the mesh")?;
    let began = Instant::now();
    let mut list = Flows::find(&client, &client, &mesh, Query::default()).await.doing("list flows")?;
    for _ in 0..flows {
        if list.next().await.doing("list flows")?.is_none() {
            return Err(Error::new("the list ends before its time"));
        }
    }
    Ok(flows as f64 / began.elapsed().as_secs_f64())
}
