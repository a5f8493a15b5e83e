//! One replica of three is damaged while its broker is down. What it has lost, the others have; whether anybody notices is
//! another question. Measured on nats-server 2.15.1: docs/decisions/0034

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{
    Config, DirectGetErrorKind, DiscardPolicy, PeerInfo, RawMessageErrorKind,
};
use laban_testkit::{Cluster, wait};
use laban_tests::{Outcome, note};
use laban_wire::{error_chain, metadata};

use crate::bench::*;
use crate::damage::{Block, Damage, flip_in_snapshots};

/// The node whose disk fails.
const DAMAGED: usize = 2;
/// Records beside the outcome, and how large: a few blocks of them.
const RECORDS: usize = 30;
const BODY: usize = 3000;
/// A stream of so many bytes has blocks of 32 kB; without a limit they are of 8 MB, and no different otherwise.
const ROOM: i64 = 127_000;

/// A stream with the settings of a home stream, on all three nodes.
fn home(name: &str) -> Config {
    Config {
        name: name.to_uppercase(),
        subjects: vec![format!("{}.*.*", name.to_lowercase())],
        discard: DiscardPolicy::New,
        max_bytes: ROOM,
        num_replicas: 3,
        allow_direct: true,
        allow_atomic_publish: true,
        metadata: [(metadata::SERVICE, name), (metadata::WIRE, "1")]
            .map(|(key, is)| (key.to_owned(), is.to_owned()))
            .into(),
        ..Config::default()
    }
}

impl Bench {
    /// Writes records about other flows, so that what was written before is not in the last block.
    async fn fill(&self, service: &str) -> Outcome {
        let context = self.context();
        for n in 0..RECORDS {
            let subject = format!("{service}.captured.other-{n}");
            // Nodes hear of a new stream's subjects a little later than who made it. By its id it is written once.
            let written = async || {
                let record = PublishMessage::build().message_id(&subject).payload(vec![b'x'; BODY].into());
                let Ok(sent) = context.send_publish(subject.clone(), record).await else { return false };
                sent.await.is_ok()
            };
            wait::until(format!("{subject} to be written"), PATIENCE, written).await?;
        }
        Ok(())
    }

    /// Makes a stream. For a moment after its start a node may pass for one that is away, and nothing is placed.
    async fn make(&self, config: Config) -> Outcome {
        let context = self.context();
        let made = async || context.create_stream(config.clone()).await.is_ok();
        wait::until(format!("{} to be placed", config.name), PATIENCE, made).await?;
        Ok(())
    }

    /// Makes a node the leader of the stream.
    async fn make_leader(&self, stream: &str, node: usize) -> Outcome {
        let name = format!("n{}", node + 1);
        let request = serde_json::json!({ "placement": { "preferred": name } });
        let context = self.context();
        let leads = async || {
            let Ok(stream) = context.get_stream(stream).await else { return false };
            if stream.cached_info().cluster.as_ref().and_then(|cluster| cluster.leader.as_ref())
                == Some(&name)
            {
                return true;
            }
            // It may be behind yet, and is not elected then.
            let subject = format!("STREAM.LEADER.STEPDOWN.{}", stream.cached_info().config.name);
            let _answer: Result<serde_json::Value, _> = context.request(subject, &request).await;
            false
        };
        wait::until(format!("{name} to lead {stream}"), PATIENCE, leads).await?;
        Ok(())
    }

    /// Those of the sequences up to the last that the leader says are not there, when it has come as far.
    async fn missing(&self, stream: &str, last: u64) -> Outcome<Vec<u64>> {
        let context = self.context();
        let there = async || {
            let stream = context.get_stream(stream).await.ok()?;
            (stream.cached_info().state.last_sequence >= last).then_some(stream)
        };
        let (stream, _) = wait::until_some(format!("{stream} to reach {last}"), PATIENCE, there).await?;
        let mut missing = Vec::new();
        for seq in 1..=last {
            let is_there = async || match stream.get_raw_message(seq).await {
                Ok(_) => Some(true),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Some(false),
                Err(_) => None,
            };
            let (is_there, _) =
                wait::until_some(format!("an answer about {seq}"), PATIENCE, is_there).await?;
            if !is_there {
                missing.push(seq);
            }
        }
        Ok(missing)
    }
}

/// Waits until all nodes have all of the stream.
async fn until_replicated(bench: &Bench, stream: &str) -> Outcome {
    let context = bench.context();
    wait::until(format!("{stream} to be on all nodes"), PATIENCE, async || {
        let Ok(stream) = context.get_stream(stream).await else { return false };
        let cluster = stream.cached_info().cluster.as_ref();
        cluster.is_some_and(|cluster| {
            let whole = |replica: &PeerInfo| replica.current && replica.lag.unwrap_or(0) == 0;
            cluster.replicas.len() == 2 && cluster.replicas.iter().all(whole)
        })
    })
    .await?;
    Ok(())
}

/// A cluster, and a client of those of its nodes that stay.
async fn open() -> Outcome<(Cluster, Bench)> {
    let cluster = Cluster::start().await?;
    let bench = Bench::at([0, 1].map(|node| cluster.node(node).url()).join(","), 3).await?;
    Ok((cluster, bench))
}

/// One bit in one record is wrong on one of three nodes. That node leads, and does not ask the others.
#[tokio::test]
async fn a_leader_with_one_wrong_bit_has_forgotten_an_outcome_and_it_takes_effect_twice() -> Outcome {
    let (mut cluster, bench) = open().await?;
    let _order = bench.orders().await?;
    bench.make(home("payment")).await?;
    let first = bench.payment(&Runs::default()).await?;
    let order = bench.place().await?;
    bench.until_records(1).await?;
    stop(first).await?;
    bench.fill("payment").await?;
    until_replicated(&bench, "PAYMENT").await?;
    bench.make_leader("PAYMENT", 0).await?;

    cluster.stop(DAMAGED).await?;
    Damage::Bit(Block::First).to(cluster.node(DAMAGED).store_dir(), "PAYMENT")?;
    cluster.start_again(DAMAGED).await?;
    cluster.ready().await?;
    bench.make_leader("PAYMENT", 0).await?;
    assert_eq!(bench.records("payment").await?.len(), 1, "another leader has all");
    let stream = bench.context().get_stream("PAYMENT").await?;
    let not_found = async || {
        let answer = stream.direct_get(1).await;
        answer.is_err_and(|error| error.kind() == DirectGetErrorKind::NotFound)
    };
    wait::until("a direct get that the damaged node answers", PATIENCE, not_found).await?;

    bench.make_leader("PAYMENT", DAMAGED).await?;
    assert_eq!(
        bench.missing("PAYMENT", 1 + RECORDS as u64).await?,
        [1],
        "the leader has forgotten the outcome"
    );
    bench.deliver_again().await?;
    bench.make_leader("PAYMENT", 0).await?;
    let outcome = outcome_of(order);
    let records = bench.until_records(2).await?;
    assert_eq!(outcomes(&records), [outcome, outcome], "the others have not: it is there twice");
    Ok(())
}

/// Whether a damaged replica is mended from the others before it leads: it asks them for what follows its last record, and
/// never for what is missing before. Only an empty one asks for all.
#[tokio::test]
async fn what_follows_a_replica_s_last_record_is_mended_and_what_it_lost_before_is_not() -> Outcome {
    const MENDED: bool = true;
    let cases = [
        ("first-bit", Damage::Bit(Block::First), !MENDED),
        ("last-bit", Damage::Bit(Block::Last), !MENDED),
        ("first-half", Damage::Half(Block::First), !MENDED),
        ("first-gone", Damage::Gone(Block::First), !MENDED),
        ("last-half", Damage::Half(Block::Last), MENDED),
        ("last-gone", Damage::Gone(Block::Last), MENDED),
        ("index", Damage::Index, MENDED),
    ];
    let (mut cluster, bench) = open().await?;
    for (name, ..) in cases {
        bench.make(home(name)).await?;
        bench.fill(name).await?;
    }
    for (name, ..) in cases {
        until_replicated(&bench, &name.to_uppercase()).await?;
    }
    cluster.stop(DAMAGED).await?;
    for (name, damage, _) in cases {
        damage.to(cluster.node(DAMAGED).store_dir(), &name.to_uppercase())?;
    }
    cluster.start_again(DAMAGED).await?;
    cluster.ready().await?;
    let mut found = Vec::new();
    for (name, ..) in cases {
        let stream = name.to_uppercase();
        bench.make_leader(&stream, DAMAGED).await?;
        let missing = bench.missing(&stream, RECORDS as u64).await?;
        note(&format!(
            "{name}: the damaged node leads, and of {RECORDS} records these are missing: {missing:?}"
        ));
        bench.make_leader(&stream, 0).await?;
        let elsewhere = bench.missing(&stream, RECORDS as u64).await?;
        assert_eq!(elsewhere, Vec::<u64>::new(), "{name}: expected another node to have all");
        found.push((name, missing.is_empty()));
    }
    let expected = cases.map(|(name, _, mended)| (name, mended));
    assert_eq!(found, expected, "left: what is mended; right: what docs/guarantees.md says");

    // The remedy: a node with nothing gets everything from the others.
    cluster.stop(DAMAGED).await?;
    std::fs::remove_dir_all(cluster.node(DAMAGED).store_dir())?;
    cluster.start_again(DAMAGED).await?;
    cluster.ready().await?;
    for (name, ..) in cases {
        let stream = name.to_uppercase();
        until_replicated(&bench, &stream).await?;
        bench.make_leader(&stream, DAMAGED).await?;
        let missing = bench.missing(&stream, RECORDS as u64).await?;
        assert_eq!(missing, Vec::<u64>::new(), "{name}: expected the emptied node to have all again");
    }
    Ok(())
}

/// What replicas agree by has a checksum over it all. Where that is wrong, a replica takes no part.
#[tokio::test]
async fn a_replica_with_a_damaged_snapshot_stays_out_and_the_others_go_on() -> Outcome {
    let (mut cluster, bench) = open().await?;
    bench.make(home("payment")).await?;
    bench.fill("payment").await?;
    until_replicated(&bench, "PAYMENT").await?;
    cluster.stop(DAMAGED).await?;
    flip_in_snapshots(cluster.node(DAMAGED).store_dir(), "S-R3F-")?;
    cluster.start_again(DAMAGED).await?;
    let said = "Stream create failed for '$G > PAYMENT': raft: snapshot corrupt";
    let says_so = async || cluster.node(DAMAGED).logs().contains(said);
    wait::until("the damaged node to say so", PATIENCE, says_so).await?;
    bench.context().publish("payment.captured.more", "x".into()).await?.await?;
    assert_eq!(bench.missing("PAYMENT", RECORDS as u64 + 1).await?, Vec::<u64>::new());
    Ok(())
}

/// The snapshot of which streams there are. A broker that went on without it would take its streams for orphans, and delete
/// them.
#[tokio::test]
async fn a_broker_with_a_damaged_snapshot_of_its_cluster_does_not_start() -> Outcome {
    let (mut cluster, bench) = open().await?;
    bench.make(home("payment")).await?;
    cluster.stop(DAMAGED).await?;
    flip_in_snapshots(cluster.node(DAMAGED).store_dir(), "_meta_")?;
    let refused = cluster.start_again(DAMAGED).await.expect_err("it does not start");
    let said = error_chain(&refused);
    assert!(said.contains("raft: snapshot corrupt"), "{said}");
    bench.fill("payment").await?;
    assert_eq!(bench.missing("PAYMENT", RECORDS as u64).await?, Vec::<u64>::new());
    Ok(())
}
