//! How fast history is read in causal order and written as JSON lines, against reading it alone.

use std::hint::black_box;
use std::time::Instant;

use async_nats::Client;
use async_nats::jetstream::{self, consumer};
use bytes::BytesMut;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use laban_flow::Mesh;
use laban_flow::replay::{Plan as Range, Record, Selection, Totals};
use laban_testkit::Broker;
use laban_wire::FlowReader;

use super::flow_show::{EVENTS, load};
use super::{Plan, rotated};
use crate::error::{Doing as _, Error, Result};
use crate::progress::Progress;
use crate::report::Scenario;

const ALLOCATOR: Option<&str> = Some("system");

/// Who reads.
#[derive(Clone, Copy, Debug)]
enum Reader {
    /// The client library's ordered consumer, by pulling: counts the messages, and no more.
    Pull,
    /// The same, pushed.
    Push,
    /// Batches of direct gets, as flows are read: decodes the messages, and no more.
    Direct,
    /// What `laban replay view --speed max --json` does, without the process around it.
    View,
}

const READERS: [(&str, Reader); 4] = [
    ("ordered pull", Reader::Pull),
    ("ordered push", Reader::Push),
    ("direct get", Reader::Direct),
    ("view", Reader::View),
];

pub(super) async fn run(plan: &Plan, progress: Progress) -> Result<Scenario> {
    let (events, rounds) = (plan.size(500_000, 5_000), plan.rounds(5));
    let what = format!(
        "{events} events of some 300 bytes in {} streams, and those of the first stream alone, {rounds} rounds. view: counted, \
         put in causal order, totalled and written as JSON lines, to nowhere; the others count messages. An ordered consumer per \
         stream, all at once",
        EVENTS.len()
    );
    let mut scenario = Scenario::new("replay-view", what)
        .measuring("all_per_s", "all streams/s", Some("ordered pull"))
        .measuring("one_per_s", "one stream/s", Some("ordered pull"));
    let broker = Broker::start().await?;
    let flows = events / EVENTS.len() as u64;
    load(&broker, flows).await?;
    let stage = progress.stage("replay-view", 2 * rounds * READERS.len());
    for round in 0..rounds {
        for (name, reader) in rotated(READERS.to_vec(), round) {
            for (measure, services) in [("all_per_s", &EVENTS[..]), ("one_per_s", &EVENTS[..1])] {
                stage.at(round, rounds, &name);
                let services: Vec<&str> = services.iter().map(|(service, ..)| *service).collect();
                let rate = rate(&broker, reader, &services, flows * services.len() as u64).await?;
                scenario.sample(measure, name, ALLOCATOR, rate);
                stage.step(&format!("{name}, {} streams: {rate:.0}/s", services.len()));
            }
        }
    }
    stage.done();
    Ok(scenario)
}

/// Records a second, from a new connection on.
async fn rate(broker: &Broker, reader: Reader, services: &[&str], expected: u64) -> Result<f64> {
    let client = async_nats::connect(broker.url()).await.doing("connect")?;
    let bulk = async_nats::connect(broker.url()).await.doing("connect")?;
    let began = Instant::now();
    let read = match reader {
        Reader::View => view(&client, &bulk, services).await?,
        _ => {
            let tasks = services.iter().map(|service| {
                let (client, stream) = (client.clone(), service.to_uppercase());
                let each = expected / services.len() as u64;
                tokio::spawn(async move {
                    match reader {
                        Reader::Pull => pull(client, stream, each).await,
                        Reader::Push => push(client, stream, each).await,
                        _ => direct(client, stream).await,
                    }
                })
            });
            let counts = stream::iter(tasks).buffered(services.len()).try_collect::<Vec<_>>().await;
            counts.doing("read a stream")?.into_iter().sum::<Result<u64>>()?
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    if read != expected {
        return Err(Error::new(format!("{reader:?}: {read} records, expected {expected}")));
    }
    Ok(read as f64 / seconds)
}

async fn pull(client: Client, stream: String, most: u64) -> Result<u64> {
    let js = jetstream::new(client);
    let config = consumer::pull::OrderedConfig::default();
    let consumer = js.create_consumer_on_stream(config, stream).await.doing("make a consumer")?;
    let mut messages = consumer.messages().await.doing("pull")?;
    let mut read = 0;
    while read < most
        && let Some(message) = messages.next().await
    {
        black_box(message.doing("read a message")?);
        read += 1;
    }
    Ok(read)
}

async fn push(client: Client, stream: String, most: u64) -> Result<u64> {
    let config = consumer::push::OrderedConfig { deliver_subject: client.new_inbox(), ..Default::default() };
    let js = jetstream::new(client);
    let consumer = js.create_consumer_on_stream(config, stream).await.doing("make a consumer")?;
    let mut messages = consumer.messages().await.doing("be pushed")?;
    let mut read = 0;
    while read < most
        && let Some(message) = messages.next().await
    {
        black_box(message.doing("read a message")?);
        read += 1;
    }
    Ok(read)
}

async fn direct(client: Client, stream: String) -> Result<u64> {
    let reader = FlowReader::new(client);
    let (mut read, mut next) = (0, 1);
    loop {
        let (page, more) = reader.page(&stream, ">", next, 1_000).await.doing("read a page")?;
        next = page.last().map_or(next, |last| last.seq + 1);
        read += black_box(page).len() as u64;
        if !more {
            return Ok(read);
        }
    }
}

async fn view(client: &Client, bulk: &Client, services: &[&str]) -> Result<u64> {
    let mesh = Mesh::discover(client).await.doing("discover the mesh")?;
    let services = services.iter().map(|service| service.parse()).collect::<std::result::Result<_, _>>();
    let selection = Selection { services: services.doing("name a service")?, ..Selection::default() };
    let range = Range::make(client, &mesh, &selection).await.doing("count what is selected")?;
    let (mut line, mut written) = (Vec::new(), BytesMut::new());
    let show = move |record: Record| {
        line.clear();
        record.write_json(&mut line);
        line.push(b'\n');
        if written.capacity() < line.len() {
            written = BytesMut::with_capacity(line.len().max(64 << 10));
        }
        written.extend_from_slice(&line);
        (record.tally(), written.split().freeze())
    };
    let mut replay = range.replay_as(show, client, bulk);
    let (mut totals, mut out) = (Totals::default(), Vec::new());
    loop {
        let (tally, line) = match replay.try_next().doing("read on")? {
            Some(shown) => shown,
            None => match replay.next().await.doing("read on")? {
                Some(shown) => shown,
                None => break,
            },
        };
        totals.add(&tally);
        out.extend_from_slice(&line);
        if out.len() > 64 << 10 {
            black_box(&out);
            out.clear();
        }
    }
    replay.close().await;
    Ok(totals.all.records)
}
