//! `laban dead redrive`: a dead letter on its way back to the handler that gave up.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use demo::program;
use laban::{Event, Failure, Handler as _, Retry, Service, State};
use laban_flow::{Flow, Mesh};
use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_wire::FlowId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    assert_eq!(String::from_utf8_lossy(&dry.stdout), "would hand back to audit note, AUDIT 1\n");
    assert_eq!(until_state(&broker, "dead").await?.steps.len(), 2, "expected a dry run to write nothing");

    mended.store(true, Ordering::Relaxed);
    let done = redrive(&broker, &["--by", "ann", "--why", "new ink"])?;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "handed back to audit note, AUDIT 1\n");
    let flow = until_state(&broker, "completed").await?;
    let events: Vec<&str> = flow.steps.iter().map(|step| step.event.as_str()).collect();
    assert_eq!(events, ["opened", "_dead", "_redrive", "noted"]);
    assert_eq!(flow.steps[3].attempt, Some(2));

    let again = redrive(&broker, &[])?;
    assert_eq!(again.status.code(), Some(1), "expected: nothing is dead any more");
    Ok(())
}
