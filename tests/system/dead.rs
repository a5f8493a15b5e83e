//! `laban dead`: dead letters on their way back to the handlers that gave up.

use std::collections::BTreeSet;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use demo::program;
use laban::{Event, Failure, Handler as _, Retry, Service, State};
use laban_flow::{Flow, Mesh};
use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_wire::{FlowId, FlowReader};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "till.opened", version = 1, flow = till)]
struct TillOpened {
    till: String,
}

#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(name = "audit.noted", version = 1, flow = till)]
struct Noted {
    till: String,
}

async fn note(opened: TillOpened, mended: State<Arc<AtomicBool>>) -> Result<Noted, Failure> {
    if mended.load(Ordering::Relaxed) {
        Ok(Noted { till: opened.till })
    } else {
        Err(Failure::retry("out of ink"))
    }
}

fn redrive(broker: &Broker, more: &[&str]) -> Outcome<Output> {
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    Ok(command.args(["dead", "redrive", "--server", &broker.url(), "till 1"]).args(more).output()?)
}

async fn until_state(broker: &Broker, state: &str) -> Outcome<Flow> {
    let client = async_nats::connect(broker.url()).await?;
    let flow_id = FlowId::new("till 1")?;
    let what = format!("the flow to be {state}");
    let found = wait::until_some(&what, Duration::from_secs(60), async || {
        let mesh = Mesh::discover(&client).await.ok()?;
        let flow = Flow::read(&client, &mesh, &flow_id).await.ok()??;
        (flow.state.to_string() == state).then_some(flow)
    });
    Ok(found.await?.0)
}

#[tokio::test]
async fn a_dead_letter_is_handed_back_and_the_flow_completes() -> Outcome {
    let broker = Broker::start().await?;
    let service = |name: &str| Service::new(name).setting("NATS_URL", broker.url()).own_telemetry();
    let till = service("till").emits::<TillOpened>().start().await?;
    let mended = Arc::new(AtomicBool::new(false));
    let _audit = service("audit").state(Arc::clone(&mended)).on(note.retry(Retry::never())).start().await?;
    till.emitter().begin(&TillOpened { till: "till 1".to_owned() }).await?;
    until_state(&broker, "dead").await?;

    let none = redrive(&broker, &["--handler", "other"])?;
    assert_eq!(none.status.code(), Some(1), "expected: no such dead letter");
    let dry = redrive(&broker, &["--dry-run"])?;
    assert_eq!(
        String::from_utf8_lossy(&dry.stdout),
        "would hand back AUDIT/1 (audit note, flow \"till 1\")\n"
    );
    assert_eq!(until_state(&broker, "dead").await?.steps.len(), 2, "expected a dry run to write nothing");

    mended.store(true, Ordering::Relaxed);
    let done = redrive(&broker, &["--by", "ann", "--why", "new ink"])?;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "handed back AUDIT/1 (audit note, flow \"till 1\")\n");
    let flow = until_state(&broker, "completed").await?;
    let events: Vec<&str> = flow.steps.iter().map(|step| step.event.as_str()).collect();
    assert_eq!(events, ["opened", "_dead", "_redrive", "noted"]);
    assert_eq!(flow.steps[3].attempt, Some(2));

    let again = redrive(&broker, &[])?;
    assert_eq!(again.status.code(), Some(1), "expected: nothing is dead any more");
    Ok(())
}

/// Two bugs, each with a switch of its own.
#[derive(Default)]
struct Bugs {
    cards_mended: AtomicBool,
    bank_mended: AtomicBool,
    /// Runs that ended well.
    noted: AtomicU32,
}

async fn note_poisoned(opened: TillOpened, bugs: State<Arc<Bugs>>) -> Result<Noted, Failure> {
    let number: u32 = opened.till.parse().map_err(|_| Failure::reject("no number"))?;
    if number % 5 < 3 && !bugs.cards_mended.load(Ordering::Relaxed) {
        return Err(Failure::reject(format!("no card {number} in the drawer")));
    }
    if number % 5 >= 3 && !bugs.bank_mended.load(Ordering::Relaxed) {
        return Err(Failure::retry(format!("the bank is closed, {number} are waiting")));
    }
    bugs.noted.fetch_add(1, Ordering::Relaxed);
    Ok(Noted { till: opened.till })
}

/// Exit code, standard output, standard error. The service goes on meanwhile.
async fn dead(broker: &Broker, args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let mut command = tokio::process::Command::new(program("laban", "-p laban-cli")?);
    let output = command.arg("dead").args(args).env("NATS_URL", broker.url()).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}

/// The groups that are listed: fingerprint, count, states.
async fn groups(broker: &Broker, more: &[&str]) -> Outcome<Vec<(String, u64, Value)>> {
    let (code, out, err) = dead(broker, &[&["list", "--json"], more].concat()).await?;
    assert_eq!(code, Some(0), "{err}");
    let groups = out.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    let told = groups.into_iter().map(|group| {
        let fingerprint = group["fingerprint"].as_str().unwrap_or_default().to_owned();
        (fingerprint, group["count"].as_u64().unwrap_or_default(), group["states"].clone())
    });
    Ok(told.collect())
}

async fn last_sequences(broker: &Broker) -> Outcome<Vec<(String, u64)>> {
    let js = async_nats::jetstream::new(async_nats::connect(broker.url()).await?);
    let mut found = Vec::new();
    for stream in ["TILL", "AUDIT"] {
        let stream = js.get_stream(stream).await?;
        found.push((stream.cached_info().config.name.clone(), stream.cached_info().state.last_sequence));
    }
    Ok(found)
}

#[tokio::test]
async fn five_hundred_events_poisoned_by_two_bugs_complete_once_each() -> Outcome {
    const ALL: u64 = 500;
    let broker = Broker::start().await?;
    let service = |name: &str| Service::new(name).setting("NATS_URL", broker.url()).own_telemetry();
    let till = service("till").emits::<TillOpened>().start().await?;
    let bugs = Arc::new(Bugs::default());
    let handler = note_poisoned.retry(Retry::never());
    let _audit = service("audit").state(Arc::clone(&bugs)).on(handler).start().await?;
    for number in 0..ALL {
        till.emitter().begin(&TillOpened { till: number.to_string() }).await?;
    }
    let reader = FlowReader::new(async_nats::connect(broker.url()).await?);
    let records = async |record: &str| -> Outcome<Vec<String>> {
        let found = reader.any_replica("AUDIT", &format!("audit.{record}.*"), 1).await?;
        Ok(found.into_iter().map(|stored| stored.subject).collect())
    };
    wait::until("all to be given up", Duration::from_secs(60), async || {
        records("_dead").await.is_ok_and(|found| found.len() as u64 == ALL)
    })
    .await?;

    let found = groups(&broker, &[]).await?;
    let told: Vec<_> = found.iter().map(|(_, count, states)| (*count, states.clone())).collect();
    assert_eq!(told, [(300, json!({"open": 300})), (200, json!({"open": 200}))], "two kinds of error");
    let (cards, bank) = (found[0].0.as_str(), found[1].0.as_str());

    let before = last_sequences(&broker).await?;
    let (code, out, _) = dead(&broker, &["redrive", "--fingerprint", cards, "--dry-run"]).await?;
    assert_eq!((code, out.lines().last()), (Some(0), Some("would hand back 300 dead letters")));
    assert_eq!(last_sequences(&broker).await?, before, "a dry run writes nothing");

    let redrive = async |fingerprint: &str| {
        dead(
            &broker,
            &["redrive", "--fingerprint", fingerprint, "--yes", "--rate", "2000/s", "--wait", "--by", "ann"],
        )
        .await
    };
    bugs.cards_mended.store(true, Ordering::Relaxed);
    let (code, out, err) = redrive(cards).await?;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(err.contains("handing back 300 dead letters, which takes 150.0 ms or more"), "{err}");
    assert!(out.contains("handed back 300 of 300 dead letters\n300 succeeded\n"), "{out}");

    // The other bug is not mended: whoever waits is told.
    let (code, _, err) = redrive(bank).await?;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("200 failed again; `laban dead list`"), "{err}");
    assert_eq!(groups(&broker, &[]).await?, [(bank.to_owned(), 200, json!({"failed_again": 200}))]);
    bugs.bank_mended.store(true, Ordering::Relaxed);
    let (code, out, err) = redrive(bank).await?;
    assert_eq!((code, out.contains("200 succeeded")), (Some(0), true), "{out}{err}");

    assert_eq!(groups(&broker, &[]).await?, [], "nothing is left");
    let all = groups(&broker, &["--all"]).await?;
    let succeeded: Vec<_> = all.into_iter().map(|(_, count, states)| (count, states)).collect();
    assert_eq!(succeeded, [(300, json!({"succeeded": 300})), (200, json!({"succeeded": 200}))]);
    let noted = records("noted").await?;
    let flows: BTreeSet<&String> = noted.iter().collect();
    assert_eq!((noted.len() as u64, flows.len() as u64), (ALL, ALL), "each flow has its outcome, once");
    assert_eq!(u64::from(bugs.noted.load(Ordering::Relaxed)), ALL, "and each was run to its end once");
    let mesh = Mesh::discover(&async_nats::connect(broker.url()).await?).await?;
    for number in 0..ALL {
        let flow = Flow::read(reader.clone(), &mesh, &FlowId::new(number.to_string())?).await?;
        assert_eq!(flow.map(|flow| flow.state.to_string()).as_deref(), Some("completed"), "{number}");
    }
    Ok(())
}
