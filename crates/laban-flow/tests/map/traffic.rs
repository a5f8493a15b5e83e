use std::time::Duration;

use laban_flow::Map;
use laban_wire::{DEAD, EventId, HEADER, Meta, RETRYING, Reaction};

use crate::Outcome;
use crate::discovery::Mesh;

#[tokio::test]
async fn lag_and_failures_are_those_of_the_handler_and_the_event() -> Outcome {
    let mesh = Mesh::start().await?;
    for service in ["order", "payment"] {
        mesh.home(service).await?;
    }
    mesh.reacts("payment", "charge", "order.placed", "payment.captured").await?;
    mesh.write("payment._retrying.0", &[(HEADER, failed(RETRYING))], "{}").await?;
    let mut map = Map::discover(&mesh.client, &mesh.reader()).await?;
    let reader = mesh.reader();
    let meanwhile = async {
        // Written until the measurement has ended, so that some of it falls between its two looks.
        loop {
            mesh.write("order.placed.1", &[], "{}").await?;
            mesh.write("payment._retrying.1", &[(HEADER, failed(RETRYING))], "{}").await?;
            mesh.write("payment._dead.1", &[(HEADER, failed(DEAD))], "{}").await?;
        }
        #[allow(unreachable_code, reason = "it names the type")]
        Outcome::Ok(())
    };
    tokio::select! {
        measured = map.measure(&mesh.client, &reader, Duration::from_millis(300)) => measured?,
        wrote = meanwhile => wrote?,
    }
    let edge = map.traffic_on("payment", "charge", &"order.placed".parse()?).expect("an edge");
    assert!(edge.lag > 0 && edge.retries > 0 && edge.dead > 0, "{edge:?}");
    assert_eq!((edge.per_second, edge.in_hand), (0.0, 0), "nobody pulls");
    let text = map.to_text(laban_flow::map::MapStyle::default());
    assert!(text.contains(&format!("order.placed 0/s, lag {}, retries ", edge.lag)), "{text}");
    assert!(map.to_svg().contains(&format!(">0/s, lag {}</text>", edge.lag)));
    assert!(map.to_mermaid().contains(&format!("-->|0/s, lag {}|", edge.lag)));
    Ok(())
}

fn failed(record: &'static str) -> String {
    let cause = EventId::root();
    let reaction = Reaction {
        cause,
        on: "order.placed".parse().unwrap(),
        handler: "charge".into(),
        attempt: 1,
        queue_ms: "0".parse().unwrap(),
        handle_ms: "0".parse().unwrap(),
    };
    let id = EventId::derived(cause, "payment", &format!("charge/{record}/1"), 0);
    Meta { id, version: None, reaction: Some(reaction) }.to_string()
}
