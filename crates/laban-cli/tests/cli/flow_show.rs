use std::collections::HashMap;
use std::process::Stdio;

use async_nats::HeaderMap;
use async_nats::jetstream;
use laban_testkit::{Broker, streams};
use laban_wire::{EventId, FlowId, HEADER, Meta, Reaction, Subject, metadata};

use crate::{Outcome, laban, outcome};

/// A broker with one flow, `4711`: placed by `order`, captured by `payment`; and the flow `long` of this many events.
pub(crate) async fn shop(long: usize) -> Outcome<Broker> {
    let broker = Broker::start().await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    for service in ["order", "payment"] {
        js.create_stream(streams::home(service)).await?;
    }
    let reaction = |cause| Reaction {
        cause,
        on: "order.placed".parse().unwrap(),
        handler: "charge".into(),
        attempt: 1,
        queue_ms: "0.412".parse().unwrap(),
        handle_ms: "3.108".parse().unwrap(),
    };
    let placed = EventId::root();
    let captured = EventId::derived(placed, "payment", "charge", 0);
    write(&js, "order.placed", "4711", &Meta::root(placed, 1)).await?;
    let meta = Meta { id: captured, version: Some(1), reaction: Some(reaction(placed)) };
    write(&js, "payment.captured", "4711", &meta).await?;
    for _ in 0..long {
        write(&js, "order.placed", "long", &Meta::root(EventId::root(), 1)).await?;
    }
    Ok(broker)
}

pub(crate) async fn write(js: &jetstream::Context, event: &str, flow: &str, meta: &Meta) -> Outcome {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, meta.to_header());
    // A trace a flow, made of its key.
    let trace = flow.bytes().fold(1, |trace: u128, byte| trace * 251 + u128::from(byte));
    headers.insert("traceparent", format!("00-{trace:032x}-00f067aa0ba902b7-01"));
    let subject = Subject::new(event.parse()?, FlowId::new(flow)?).to_string();
    js.publish_with_headers(subject, headers, "{}".into()).await?.await?;
    Ok(())
}

#[tokio::test]
async fn a_tree_without_colours_when_it_is_not_a_terminal() -> Outcome {
    let broker = shop(0).await?;
    let (code, out, err) = outcome(&laban(&["flow", "show", "4711"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("flow 4711 · completed · "), "{out}");
    assert!(lines[3].starts_with("order.placed "), "{out}");
    assert!(lines[4].starts_with("└─ payment.captured  charge   0.4 ms   3.1 ms  +"), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    Ok(())
}

#[tokio::test]
async fn ascii_where_it_is_asked_for_or_the_locale_is_not_utf8() -> Outcome {
    let broker = shop(0).await?;
    let url = broker.url();
    let args = ["flow", "show", "4711", "-s", &url];
    let (_, asked, _) = outcome(&laban(&args).arg("--ascii").output()?);
    let (_, plain, _) = outcome(&laban(&args).env("LC_ALL", "C").output()?);
    assert!(asked.is_ascii() && asked.contains("`-- payment.captured"), "{asked}");
    assert_eq!(plain, asked);
    Ok(())
}

#[tokio::test]
async fn json_has_every_step() -> Outcome {
    let broker = shop(0).await?;
    let (code, out, _) =
        outcome(&laban(&["flow", "show", "4711", "--json"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&out)?;
    assert_eq!((&json["flow"], &json["state"]), (&"4711".into(), &"completed".into()));
    assert_eq!(json["steps"][1]["cause"], json["steps"][0]["id"]);
    assert_eq!(json["steps"][1]["queue_ms"], 0.412);
    Ok(())
}

#[tokio::test]
async fn a_flow_that_is_not_there_is_exit_code_1() -> Outcome {
    let broker = shop(0).await?;
    let (code, out, err) = outcome(&laban(&["flow", "show", "a b"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err, "laban: no flow \"a b\": none of order, payment has a record of it\n");

    let empty = Broker::start().await?;
    let (code, _, err) = outcome(&laban(&["flow", "show", "x"]).env("NATS_URL", empty.url()).output()?);
    assert_eq!(code, Some(1));
    assert!(err.contains("no service has a home stream there"), "{err}");
    Ok(())
}

#[tokio::test]
async fn half_a_picture_is_exit_code_3() -> Outcome {
    let broker = shop(0).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let mut later = js.get_stream("PAYMENT").await?.cached_info().config.clone();
    later.metadata.insert(metadata::WIRE.to_owned(), "2".to_owned());
    js.update_stream(later).await?;
    let (code, out, err) = outcome(&laban(&["flow", "show", "4711"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("stream PAYMENT has wire format 2"), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_cannot_be_understood_is_a_warning() -> Outcome {
    let broker = shop(0).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let odd = jetstream::consumer::pull::Config {
        durable_name: Some("odd".into()),
        metadata: HashMap::from([(metadata::SERVICE.to_owned(), "audit".to_owned())]),
        ..Default::default()
    };
    js.create_consumer_on_stream(odd, "ORDER").await?;
    let (code, _, err) = outcome(&laban(&["flow", "show", "4711"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!(code, Some(0));
    assert!(err.starts_with("laban: warning: consumer odd of stream ORDER: its metadata lacks"), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() -> Outcome {
    // More than a pipe holds.
    let broker = shop(2_000).await?;
    let mut child = laban(&["flow", "show", "long", "--json"])
        .env("NATS_URL", broker.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    drop(child.stdout.take());
    let (code, _, err) = outcome(&child.wait_with_output()?);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    Ok(())
}
