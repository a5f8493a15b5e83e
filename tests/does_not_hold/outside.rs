//! Effects outside of the mesh happen at least once: the broker has no part in them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use laban::{Cause, EventId, State};
use laban_testkit::{Broker, Process, wait};
use laban_tests::Outcome;
use laban_tests::small::{OrderPlaced, PaymentCaptured};
use tokio::sync::Semaphore;

use crate::bench::*;

/// The process dies after the effect and before the commit.
#[tokio::test]
async fn an_effect_outside_happens_again_when_the_process_is_killed_before_the_commit() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let dir = tempfile::tempdir()?;
    let ledger = dir.path().join("ledger");
    let instance = || {
        Process::builder(env!("CARGO_BIN_EXE_effect-outside"))
            .arg(&ledger)
            .name("payment")
            .env("NATS_URL", broker.url())
            .env("LABAN_ACK_WAIT_MS", "1000")
            .env("OTEL_SDK_DISABLED", "true")
            .spawn()
    };
    let first = instance()?;
    let order = bench.place().await?;
    let status = first.wait_timeout(PATIENCE).await?;
    assert!(!status.success(), "expected it to die over the first effect, it ended with {status}");
    assert_eq!(outcomes(&bench.records("payment").await?), [], "nothing was committed before");
    let _second = instance()?;
    bench.until_settled("ORDER", CONSUMER).await?;
    let outcome = outcome_of(order);
    assert_eq!(outcomes(&bench.records("payment").await?), [outcome], "the outcome is there once");
    let effects = std::fs::read_to_string(&ledger)?;
    let expected = [outcome.to_string(), outcome.to_string()];
    assert_eq!(effects.lines().collect::<Vec<_>>(), expected, "the effect is there twice, under one key");
    Ok(())
}

/// The outside: each effect, by its idempotency key.
#[derive(Clone)]
struct Outside {
    effects: Arc<Mutex<Vec<EventId>>>,
    /// Lets a run go on from its effect to its commit.
    gate: Arc<Semaphore>,
}

async fn charge(order: OrderPlaced, outside: State<Outside>, cause: Cause) -> PaymentCaptured {
    outside.effects.lock().expect("nobody panics with it").push(cause.idempotency_key);
    // Nobody closes the gate.
    let _ = outside.gate.acquire().await;
    PaymentCaptured { order_id: order.order_id }
}

/// The instance takes so long over it that the event goes to another one, which is faster.
#[tokio::test]
async fn an_effect_outside_happens_again_when_another_instance_is_faster() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let effects = Arc::new(Mutex::new(Vec::new()));
    let instance = |open: usize| {
        let outside = Outside { effects: Arc::clone(&effects), gate: Arc::new(Semaphore::new(open)) };
        (bench.service("payment").state(outside.clone()).on(charge), outside.gate)
    };
    // In a thread of its own, which stands still when it is told to: a process that is frozen tells the broker nothing.
    let (slow, gate) = instance(0);
    let (freeze, frozen) = std::sync::mpsc::channel::<std::sync::mpsc::Receiver<()>>();
    let thread = std::thread::spawn(move || -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let running = runtime.block_on(slow.start())?;
        let until_thawed = loop {
            // It is alive in steps until it is to stand still.
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
            if let Ok(until_thawed) = frozen.try_recv() {
                break until_thawed;
            }
        };
        until_thawed.recv()?;
        gate.add_permits(1);
        runtime.block_on(stop(running))
    });
    let order = bench.place().await?;
    let effects_are = async |count: usize| {
        let what = format!("{count} effects");
        let there = async || effects.lock().expect("nobody panics with it").len() == count;
        wait::until(what, PATIENCE, there).await.map(drop)
    };
    effects_are(1).await?;
    let (thaw, until_thawed) = std::sync::mpsc::channel();
    freeze.send(until_thawed)?;
    let (fast, _open) = instance(1);
    let fast = fast.start().await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    effects_are(2).await?;
    thaw.send(())?;
    tokio::task::spawn_blocking(move || thread.join().expect("the thread ends")).await??;
    stop(fast).await?;
    let outcome = outcome_of(order);
    assert_eq!(outcomes(&bench.records("payment").await?), [outcome], "the outcome is there once");
    let effects = effects.lock().expect("nobody panics with it").clone();
    assert_eq!(effects, [outcome, outcome], "the effect is there twice, under one key");
    Ok(())
}
