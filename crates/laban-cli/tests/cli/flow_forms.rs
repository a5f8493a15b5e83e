//! `laban flow show` in all its forms, by trace, and watched.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use async_nats::jetstream;
use laban_wire::{EventId, Meta, Reaction, metadata};
use serde_json::Value;

use crate::flow_show::{shop, write};
use crate::{Outcome, laban, outcome};

#[tokio::test]
async fn a_form_for_every_use() -> Outcome {
    let broker = shop(0).await?;
    let url = broker.url();
    let show = |format: &str| -> Outcome<String> {
        let args = ["flow", "show", "4711", "--format", format, "-s", &url];
        let (code, out, err) = outcome(&laban(&args).env("COLUMNS", "90").output()?);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{format}");
        Ok(out)
    };
    let tree = show("tree")?;
    assert!(tree.starts_with("flow 4711 · completed"), "{tree}");
    let timeline = show("timeline")?;
    let bars: Vec<&str> = timeline.lines().filter(|line| line.contains('█') && line.contains('→')).collect();
    assert!(bars.len() == 1 && bars[0].chars().count() <= 90, "{timeline}");
    assert!(show("mermaid")?.starts_with("sequenceDiagram\n"));
    assert!(show("html")?.starts_with("<!doctype html>\n"));
    let otlp: Value = serde_json::from_str(&show("otlp")?)?;
    assert_eq!(otlp["resourceSpans"].as_array().map(Vec::len), Some(2));
    let json: Value = serde_json::from_str(&show("json")?)?;
    assert_eq!(json["flow"], "4711");
    Ok(())
}

#[tokio::test]
async fn a_trace_leads_to_its_flow() -> Outcome {
    let broker = shop(100).await?;
    let url = broker.url();
    let (_, out, _) = outcome(&laban(&["flow", "show", "4711", "--json", "-s", &url]).output()?);
    let flow: Value = serde_json::from_str(&out)?;
    let trace = flow["steps"][0]["trace_id"].as_str().ok_or("no trace")?;
    let (code, out, err) = outcome(&laban(&["flow", "show", "--trace", trace, "-s", &url]).output()?);
    assert!(code == Some(0) && out.starts_with("flow 4711 · "), "{out}{err}");
    assert_eq!(err, format!("laban: trace {trace} is of flow \"4711\"\n"));
    let none = "00000000000000000000000000000001";
    let (code, _, err) = outcome(&laban(&["flow", "show", "--trace", none, "-s", &url]).output()?);
    assert_eq!((code, err), (Some(1), format!("laban: no record is of trace {none}\n")));
    Ok(())
}

/// A line per change where standard output is no terminal, and the end when the flow has ended.
#[tokio::test]
async fn a_flow_is_watched_until_it_has_ended() -> Outcome {
    let broker = shop(0).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let said =
        [(metadata::SERVICE, "payment"), (metadata::HANDLER, "charge"), (metadata::EVENT, "order.placed")];
    let charge = jetstream::consumer::pull::Config {
        durable_name: Some("payment_charge_order_placed".into()),
        filter_subject: "order.placed.*".into(),
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    js.create_consumer_on_stream(charge, "ORDER").await?;
    let mut child = laban(&["flow", "show", "new", "--watch", "-s", &broker.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
    let waiting = tokio::task::spawn_blocking(move || said.next()).await?.ok_or("nothing is said")??;
    assert_eq!(waiting, "laban: there is no flow \"new\" yet; waiting for it");

    let placed = EventId::root();
    write(&js, "order.placed", "new", &Meta::root(placed, 1)).await?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    let (first, lines) = tokio::task::spawn_blocking(move || (lines.next(), lines)).await?;
    assert_eq!(first.ok_or("nothing is printed")??, "   +0.0 ms  order.placed");
    let reaction = Reaction {
        cause: placed,
        on: "order.placed".parse()?,
        handler: "charge".into(),
        attempt: 1,
        queue_ms: "0.4".parse()?,
        handle_ms: "3.1".parse()?,
    };
    let id = EventId::derived(placed, "payment", "charge", 0);
    write(&js, "payment.captured", "new", &Meta { id, version: Some(1), reaction: Some(reaction) }).await?;
    let rest = tokio::task::spawn_blocking(move || lines.collect::<Result<Vec<_>, _>>()).await??;
    assert!(rest[0].ends_with("  payment.captured  charge"), "{rest:?}");
    assert_eq!(rest[1..], ["flow new is completed"]);
    assert!(child.wait()?.success());
    Ok(())
}
