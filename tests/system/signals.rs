//! SIGTERM at any moment of a service's life: an orderly end, and no other.

use std::time::{Duration, Instant};

use laban_testkit::{Broker, Signal};
use laban_tests::{Life, Outcome};

const PROGRAM: &str = env!("CARGO_BIN_EXE_life-of-a-service");
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: &str = "nats://127.0.0.1:1";

/// Sends it, and returns the exit code of the process: none when the signal itself ended it.
async fn code_after(signal: Signal, life: &Life) -> Outcome<Option<i32>> {
    life.process().signal(signal)?;
    Ok(life.ended().await?.code())
}

#[tokio::test]
async fn while_it_waits_for_its_broker() -> Outcome {
    for way in ["run", "start-then-wait"] {
        for signal in [Signal::Term, Signal::Int] {
            let life = Life::begin(PROGRAM, way, NOBODY, PATIENCE)?;
            life.until_said("waiting for the broker").await?;
            let begun = Instant::now();
            assert_eq!(code_after(signal, &life).await?, Some(0), "{way}: {}", life.said());
            assert!(begun.elapsed() < PATIENCE / 2, "{way}: {}", life.said());
        }
    }
    Ok(())
}

#[tokio::test]
async fn as_soon_as_it_has_started() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "run", &broker.url(), PATIENCE)?;
    life.until_said("started").await?;
    assert_eq!(code_after(Signal::Term, &life).await?, Some(0), "{}", life.said());
    assert!(life.said().contains("stopped"), "{}", life.said());
    Ok(())
}

/// The program is told, and has not called `wait` yet.
#[tokio::test]
async fn between_start_and_wait() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "start-then-wait", &broker.url(), PATIENCE)?;
    life.until_said("started").await?;
    assert_eq!(code_after(Signal::Term, &life).await?, Some(0), "{}", life.said());
    assert!(life.said().contains("stopped"), "expected it to drain: {}", life.said());
    Ok(())
}

/// Whoever waits for one service is there for the others, too.
#[tokio::test]
async fn with_two_services_that_are_waited_for_in_turn() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "two", &broker.url(), PATIENCE)?;
    life.until_said("started service=order").await?;
    assert_eq!(code_after(Signal::Term, &life).await?, Some(0), "{}", life.said());
    assert_eq!(life.said().matches("stopped").count(), 2, "{}", life.said());
    Ok(())
}

/// A program that never waits ends all the same, and says why.
#[tokio::test]
async fn when_nobody_ever_waits() -> Outcome {
    let broker = Broker::start().await?;
    for (signal, code) in [(Signal::Term, 143), (Signal::Int, 130)] {
        let life = Life::begin(PROGRAM, "start-only", &broker.url(), PATIENCE)?;
        life.until_said("started").await?;
        assert_eq!(code_after(signal, &life).await?, Some(code), "{}", life.said());
        assert!(life.said().contains("nobody waits"), "{}", life.said());
    }
    Ok(())
}

#[tokio::test]
async fn twice() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "start-only", &broker.url(), PATIENCE)?;
    life.until_said("started").await?;
    life.process().signal(Signal::Term)?;
    life.until_said("stopping").await?;
    assert_eq!(code_after(Signal::Int, &life).await?, Some(130), "{}", life.said());
    assert!(life.said().contains("again"), "{}", life.said());
    Ok(())
}

#[tokio::test]
async fn after_the_service_was_dropped() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "start-then-drop", &broker.url(), PATIENCE)?;
    life.until_said("dropped").await?;
    assert_eq!(code_after(Signal::Term, &life).await?, Some(143), "{}", life.said());
    Ok(())
}

/// A program that keeps signals to itself gets them as if there were no service.
#[tokio::test]
async fn when_they_are_the_programs_own() -> Outcome {
    let broker = Broker::start().await?;
    let life = Life::begin(PROGRAM, "own-signals", &broker.url(), PATIENCE)?;
    life.until_said("started").await?;
    assert_eq!(code_after(Signal::Term, &life).await?, None, "{}", life.said());
    Ok(())
}
