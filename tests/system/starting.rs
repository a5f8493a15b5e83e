//! A service that starts in the middle of something waits until it has passed.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use laban_testkit::{Broker, wait};
use laban_tests::{Life, Outcome};

const PROGRAM: &str = env!("CARGO_BIN_EXE_life-of-a-service");
const SOON: Duration = Duration::from_secs(60);

/// Three brokers that elect a leader among them.
async fn cluster() -> Outcome<[Broker; 3]> {
    // Held until all three are known, so that they differ.
    let free = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&free) {
        *port = listener.local_addr()?.port();
    }
    drop(free);
    let routes = ports.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let node = |index: usize| {
        let port = ports[index];
        let listen = format!("listen: \"127.0.0.1:{port}\"");
        let cluster = format!("server_name: n{index}\ncluster {{ name: c, {listen}, routes: [{routes}] }}");
        Broker::builder().config(cluster).start()
    };
    // None of them is ready before there is a leader.
    let (a, b, c) = tokio::try_join!(node(0), node(1), node(2))?;
    Ok([a, b, c])
}

/// Two of three nodes are gone, so there is no leader and JetStream does not answer. A service that starts now waits, says
/// for what, and starts when they are back; one whose time is over says what it waited for.
#[tokio::test]
async fn a_service_waits_for_a_cluster_without_a_leader() -> Outcome {
    let [here, mut second, mut third] = cluster().await?;
    second.kill();
    third.kill();
    let client = async_nats::connect(here.url()).await?;
    let mut context = jetstream::new(client);
    context.set_timeout(Duration::from_secs(1));
    wait::until("JetStream not to answer", SOON, async || context.query_account().await.is_err()).await?;

    let patient = Life::begin(PROGRAM, "run", &here.url(), SOON * 2)?;
    patient.until_said("waiting for JetStream").await?;

    let begun = Instant::now();
    let hasty = Life::begin(PROGRAM, "run", &here.url(), Duration::from_secs(4))?;
    let status = hasty.ended().await?;
    let (said, took) = (hasty.said(), begun.elapsed());
    assert_eq!(status.code(), Some(1), "{said}");
    for expected in ["service payment:", "JetStream does not answer", "waited", "LABAN_CONNECT_TIMEOUT_MS"] {
        assert!(said.contains(expected), "expected {expected:?} in: {said}");
    }
    assert!((3..15).contains(&took.as_secs()), "expected it to wait 4 s and no more, it was {took:?}");

    assert!(patient.process().is_running(), "{}", patient.said());
    tokio::try_join!(second.start_again(), third.start_again())?;
    patient.until_said("started").await?;
    let waits = patient.said().matches("waiting for JetStream").count();
    assert_eq!(waits, 1, "expected it to be said once: {}", patient.said());
    Ok(())
}

/// A broker that takes connections and says nothing, as one does that is frozen.
#[tokio::test]
async fn a_service_waits_for_a_broker_that_is_frozen() -> Outcome {
    let broker = Broker::start().await?;
    broker.process().signal(laban_testkit::Signal::Stop)?;
    let life = Life::begin(PROGRAM, "run", &broker.url(), SOON)?;
    life.until_said("waiting for the broker").await?;
    broker.process().signal(laban_testkit::Signal::Cont)?;
    life.until_said("started").await
}

/// An account without JetStream will not get it by waiting.
#[tokio::test]
async fn what_will_not_pass_ends_the_start_at_once() -> Outcome {
    let accounts = "accounts { A: { jetstream: enabled, users: [{ user: a, password: a }] }, \
                    B: { users: [{ user: b, password: b }] } }\nno_auth_user: b";
    let broker = Broker::builder().config(accounts).start().await?;
    let begun = Instant::now();
    let life = Life::begin(PROGRAM, "run", &broker.url(), SOON * 2)?;
    let (status, said) = (life.ended().await?, life.said());
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("JetStream does not answer") && said.contains("10039"), "{said}");
    assert!(!said.contains("waiting for") && begun.elapsed() < SOON, "{said}");
    Ok(())
}
