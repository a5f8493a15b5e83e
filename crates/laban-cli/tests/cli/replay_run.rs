//! `laban replay run`: history handed to a service, which is played here.

use std::collections::HashMap;

use async_nats::jetstream::consumer::pull;
use async_nats::{Client, jetstream};
use futures_util::StreamExt as _;
use laban_testkit::{Broker, Process, Signal, wait};
use laban_wire::{ReplayRequest, Replayed, metadata};
use serde_json::{Value, json};

use crate::flow_show::shop;
use crate::{LABAN, Outcome, SOON, laban, outcome};

const RUN: [&str; 4] = ["replay", "run", "--service", "payment"];

async fn run(broker: &Broker, more: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let args: Vec<&str> = RUN.iter().chain(more).copied().collect();
    let mut command = tokio::process::Command::from(laban(&args));
    Ok(outcome(&command.env("NATS_URL", broker.url()).output().await?))
}

/// A shop of so many orders, whose payment has declared its handler.
async fn declared(orders: usize) -> Outcome<(Broker, Client)> {
    let broker = shop(orders - 1).await?;
    let client = async_nats::connect(broker.url()).await?;
    let said =
        [(metadata::SERVICE, "payment"), (metadata::HANDLER, "charge"), (metadata::EVENT, "order.placed")];
    let config = pull::Config {
        durable_name: Some("payment_charge_order_placed".to_owned()),
        filter_subject: "order.placed.*".to_owned(),
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    jetstream::new(client.clone()).create_consumer_on_stream(config, "ORDER").await?;
    Ok((broker, client))
}

/// Plays the handler.
async fn play(client: &Client, answer: impl Fn(u64, usize) -> Replayed + Send + 'static) -> Outcome {
    let mut requests = client.subscribe("_replay.payment.charge").await?;
    client.flush().await?;
    let client = client.clone();
    tokio::spawn(async move {
        let mut before = HashMap::<u64, usize>::new();
        while let Some(request) = requests.next().await {
            let ReplayRequest { seq, .. } = serde_json::from_slice(&request.payload).unwrap();
            let times = before.entry(seq).or_default();
            let said = serde_json::to_vec(&answer(seq, *times)).unwrap();
            *times += 1;
            client.publish(request.reply.unwrap(), said.into()).await.unwrap();
        }
    });
    Ok(())
}

#[tokio::test]
async fn it_is_said_before_what_will_be_done_and_after_what_came_of_it() -> Outcome {
    let (broker, client) = declared(4).await?;
    let planned = "4 messages to hand to payment\n  charge: 4 of order.placed\n";
    let (code, out, err) = run(&broker, &["--dry-run"]).await?;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), planned, ""));
    let (_, out, _) = run(&broker, &["--dry-run", "--json", "--flow", "4711"]).await?;
    let one = json!({"handler": "charge", "events": ["order.placed"], "messages": 1, "at_least_once": false});
    assert_eq!(
        serde_json::from_str::<Value>(&out)?,
        json!({"service": "payment", "messages": 1, "handlers": [one]})
    );

    play(&client, |seq, before| match (seq, before) {
        (1, 0) => Replayed::Retrying { error: "bank closed".into(), again_in_ms: 1 },
        (1, _) => Replayed::Emitted,
        _ => Replayed::Absorbed,
    })
    .await?;
    let (code, out, err) = run(&broker, &[]).await?;
    let said = "charge: 3 absorbed, 1 took effect now, 1 failed and retried\n";
    assert_eq!((code, out.as_str(), err), (Some(0), said, format!("laban: {planned}")));
    let (code, out, _) = run(&broker, &["--json"]).await?;
    let totals: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &totals["end"]), (Some(0), &json!({"how": "complete"})));
    let charge = &totals["handlers"][0];
    assert_eq!(
        (&charge["handler"], &charge["absorbed"], &charge["emitted"]),
        (&"charge".into(), &3.into(), &1.into())
    );
    let (code, out, err) = run(&broker, &["--until", "2020-01-01T00:00:00Z"]).await?;
    assert_eq!((code, out.as_str()), (Some(0), "charge: nothing handed over\n"));
    assert!(err.contains("nothing is selected that payment reacts to"), "{err}");
    Ok(())
}

#[tokio::test]
async fn what_went_wrong_is_told_and_is_exit_code_1() -> Outcome {
    let (broker, client) = declared(3).await?;
    let (code, out, err) = run(&broker, &["--patience", "200ms"]).await?;
    assert_eq!((code, out.as_str()), (Some(1), "charge: nothing handed over\n"));
    assert!(err.contains("no instance of payment answers for handler `charge`: start one"), "{err}");
    assert!(err.ends_with("laban: to go on: the same command with --from-seq 1\n"), "{err}");
    play(&client, |seq, _| match seq {
        2 => Replayed::Dead { reason: "rejected".into(), error: "no such card".into() },
        _ => Replayed::Absorbed,
    })
    .await?;
    let (code, out, err) = run(&broker, &[]).await?;
    assert_eq!((code, out.as_str()), (Some(1), "charge: 2 absorbed, 1 dead\n"));
    assert!(err.ends_with("laban: ORDER 2, charge: dead, rejected: no such card\n"), "{err}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_exit_code_2() -> Outcome {
    let (broker, _client) = declared(1).await?;
    for (args, said) in [
        (&["--handler", "refund"][..], "service `payment` has no handler `refund`; it has: charge"),
        (&["--event", "payment.captured"], "it reacts to none of those events, but to: order.placed"),
        (&["--service", "bank"], "cannot be used multiple times"),
        (&["--window", "0"], "0 is not in 1..=1024"),
        (&["--rate=0"], "it is a number from"),
    ] {
        let (code, out, err) = run(&broker, args).await?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(said), "{err}");
    }
    Ok(())
}

#[tokio::test]
async fn ctrl_c_finishes_what_is_in_flight_and_says_where_to_go_on() -> Outcome {
    let (broker, client) = declared(9).await?;
    // The third is to be tried again in an hour; the others wait for it.
    play(&client, |seq, _| match seq {
        3 => Replayed::Retrying { error: "bank closed".into(), again_in_ms: 3_600_000 },
        _ => Replayed::Absorbed,
    })
    .await?;
    let mut seen = client.subscribe("_replay.payment.charge").await?;
    client.flush().await?;
    let args = RUN.iter().copied().chain(["--window", "1", "--server"]);
    let process = Process::builder(LABAN).args(args).arg(broker.url()).env("LC_ALL", "C.UTF-8").spawn()?;
    for _ in 0..3 {
        tokio::time::timeout(SOON, seen.next()).await?.ok_or("no request")?;
    }
    process.signal(Signal::Int)?;
    assert_eq!(process.wait_timeout(SOON).await?.code(), Some(1));
    let said = process.log_tail(usize::MAX);
    assert!(said.contains("laban: finishing what is in flight; Ctrl-C again leaves it"), "{said}");
    assert!(said.contains("charge: 2 absorbed, 1 failed and retried"), "{said}");
    assert!(said.contains("laban: stopped before the end"), "{said}");
    assert!(said.contains("laban: to go on: the same command with --from-seq 3"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_second_ctrl_c_leaves_what_is_in_flight() -> Outcome {
    let (broker, client) = declared(1).await?;
    // There, and silent.
    let mut seen = client.subscribe("_replay.payment.charge").await?;
    client.flush().await?;
    let args = RUN.iter().copied().chain(["--patience", "1h", "--server"]);
    let process = Process::builder(LABAN).args(args).arg(broker.url()).env("LC_ALL", "C.UTF-8").spawn()?;
    tokio::time::timeout(SOON, seen.next()).await?.ok_or("no request")?;
    process.signal(Signal::Int)?;
    wait::until("the first to be noticed", SOON, async || {
        process.log_tail(usize::MAX).contains("finishing what is in flight")
    })
    .await?;
    process.signal(Signal::Int)?;
    assert_eq!(process.wait_timeout(SOON).await?.code(), Some(1));
    assert!(process.log_tail(usize::MAX).contains("it can all be handed over again"));
    Ok(())
}
