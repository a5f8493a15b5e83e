//! Instances end in their time, and say when they should not be given work.

use demo::orders::Plan;
use laban_testkit::{Signal, wait};
use laban_tests::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{PATIENCE, Rig, place_at};

const ORDERS: usize = 50;
const ORDER: &str = r#"{"order_id":"held","customer":"ada","card":"visa","lines":[{"sku":"mug","quantity":1,"unit_price_cents":900}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_ends_in_its_time_the_other_goes_on_and_nobody_is_ready_without_a_broker() -> Outcome {
    let Some(mut rig) = Rig::start(&[]).await? else { return Ok(()) };
    drains(&mut rig).await?;
    without_brokers(&mut rig).await?;
    rig.stop().await
}

async fn drains(rig: &mut Rig) -> Outcome {
    let plan = Plan::plain(ORDERS, 7);
    let grace = rig.compose().containers["order"].grace();
    // A request in the middle of its body keeps it from ending, until it has been looked at.
    let mut held = TcpStream::connect(rig.address("order-1", 8080)?).await?;
    let (head, tail) = ORDER.split_at(ORDER.len() / 2);
    let lines = "POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\nconnection: close";
    held.write_all(format!("{lines}\r\ncontent-length: {}\r\n\r\n{head}", ORDER.len()).as_bytes()).await?;
    // Whoever has answered another request has this one too: they are accepted in turn.
    place_at(&demo::Door::of(vec![rig.address("order-1", 8080)?]), &plan.orders[..1]).await;

    let order = rig.process("order-1").ok_or("it runs")?;
    order.signal(Signal::Term)?;
    wait::until("order-1 to say that it drains", PATIENCE, async || {
        ready(rig, "order-1").await.is_ok_and(|(status, said)| status == 503 && said.contains("draining"))
    })
    .await?;
    held.write_all(tail.as_bytes()).await?;
    let mut answer = String::new();
    held.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 202"), "expected the held request to be answered: {answer}");

    // The other one takes what comes, and the work of both.
    let (door, rest) = (rig.door()?, &plan.orders[1..]);
    let (status, placed) = tokio::join!(order.wait_timeout(grace), place_at(&door, rest));
    assert_eq!(status?.code(), Some(0), "{}", order.log_tail(20));
    assert!(placed.iter().all(|one| one.problems.is_empty() && one.flow.is_some()), "{placed:?}");
    let asked = rig.ask().await;
    let services = asked.iter().filter(|(name, _)| is_service(name));
    let unwell: Vec<&str> = services.filter(|(_, well)| well.is_err()).map(|(name, _)| *name).collect();
    assert_eq!(unwell, ["order-1"], "{asked:?}");
    rig.start_again("order-1").await?;
    Ok(())
}

async fn without_brokers(rig: &mut Rig) -> Outcome {
    let brokers: Vec<String> = rig.brokers().into_iter().map(str::to_owned).collect();
    let services: Vec<String> = rig.instances().filter(|name| is_service(name)).map(str::to_owned).collect();
    assert_eq!(services.len(), 10, "{services:?}");
    for broker in &brokers {
        rig.kill(broker);
    }
    for service in &services {
        wait::until(format!("{service} to say that its broker is away"), PATIENCE, async || {
            ready(rig, service).await.is_ok_and(|(status, said)| status == 503 && said.contains("away"))
        })
        .await?;
    }
    for broker in &brokers {
        rig.start_anew(broker)?;
    }
    rig.whole().await?;
    let plan = Plan::plain(ORDERS, 8);
    let placed = place_at(&rig.door()?, &plan.orders).await;
    assert!(placed.iter().all(|one| one.problems.is_empty() && one.flow.is_some()), "{placed:?}");
    Ok(())
}

fn is_service(instance: &str) -> bool {
    demo::Service::ALL.iter().any(|service| instance.starts_with(service.name()))
}

/// What `/readyz` says.
async fn ready(rig: &Rig, instance: &str) -> Outcome<(u16, String)> {
    let answer = reqwest::get(format!("http://{}/readyz", rig.address(instance, 9464)?)).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}
