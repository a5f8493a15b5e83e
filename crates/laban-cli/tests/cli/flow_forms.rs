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

/// Payment says that it reacts to orders.
async fn declare_charge(js: &jetstream::Context) -> Outcome {
    let said =
        [(metadata::SERVICE, "payment"), (metadata::HANDLER, "charge"), (metadata::EVENT, "order.placed")];
    let charge = jetstream::consumer::pull::Config {
        durable_name: Some("payment_charge_order_placed".into()),
        filter_subject: "order.placed.*".into(),
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    js.create_consumer_on_stream(charge, "ORDER").await?;
    Ok(())
}

/// A line per change where standard output is no terminal, and the end when the flow has ended.
#[tokio::test]
async fn a_flow_is_watched_until_it_has_ended() -> Outcome {
    let broker = shop(0).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    declare_charge(&js).await?;
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

#[tokio::test]
async fn flows_are_exported_whole_or_not_at_all() -> Outcome {
    let broker = shop(3).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("flows.json");
    let file = path.to_str().ok_or("no path")?;
    let (code, out, err) =
        outcome(&laban(&["flow", "export", "--format", "ocel2", "-o", file, "-s", &broker.url()]).output()?);
    assert_eq!((code, out.as_str(), err), (Some(0), "", format!("laban: 2 flows in {file}\n")));
    let log: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    assert_eq!(log["events"].as_array().map(Vec::len), Some(5));
    let (_, out, _) = outcome(&laban(&["flow", "export", "--key", "47", "-s", &broker.url()]).output()?);
    let log: Value = serde_json::from_str(&out)?;
    assert_eq!(log["events"].as_array().map(Vec::len), Some(2));
    let nowhere = folder.path().join("no/such/folder.json");
    let args = ["flow", "export", "-o", nowhere.to_str().ok_or("no path")?, "-s", &broker.url()];
    let (code, _, err) = outcome(&laban(&args).output()?);
    assert!(code == Some(1) && err.contains("cannot write to "), "{err}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing half-written is left");
    Ok(())
}

/// The same bytes each time, and a file that is read as a case.
#[tokio::test]
async fn a_flow_is_exported_as_a_test() -> Outcome {
    let broker = shop(3).await?;
    let url = broker.url();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("4711.json");
    let file = path.to_str().ok_or("no path")?;
    let ignore = "payment.captured:/captured_at";
    let args = ["flow", "export", "4711", "--format", "case", "--ignore", ignore, "-s", &url];
    let (code, out, err) = outcome(&laban(&args).output()?);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let (code, none, err) = outcome(&laban(&args).args(["-o", file]).output()?);
    let said = format!("laban: flow \"4711\" as a test in {file}\n");
    assert_eq!((code, none.as_str(), err), (Some(0), "", said));
    assert_eq!(std::fs::read_to_string(&path)?, out);
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "nothing half-written is left");

    let case = laban_testkit::Case::read(&path)?;
    assert_eq!((case.flow().as_str(), case.services()), ("4711", vec!["payment"]));
    let written: Value = serde_json::from_str(&out)?;
    assert_eq!((&written["laban_case"], &written["ignore"][0]), (&1.into(), &ignore.into()));
    let events: Vec<_> =
        written["records"].as_array().into_iter().flatten().map(|one| &one["event"]).collect();
    assert_eq!(events, ["order.placed", "payment.captured"]);

    // What is not there yet, and what nobody understands, is said.
    let js = jetstream::new(async_nats::connect(&url).await?);
    declare_charge(&js).await?;
    write(&js, "order.placed", "new", &Meta::root(EventId::root(), 1)).await?;
    let mut broken = async_nats::HeaderMap::new();
    broken.insert("Laban", "id=none");
    js.publish_with_headers("order.placed.new", broken, "{}".into()).await?.await?;
    let (code, out, err) =
        outcome(&laban(&["flow", "export", "new", "--format", "case", "-s", &url]).output()?);
    let written: Value = serde_json::from_str(&out)?;
    assert_eq!((code, written["records"].as_array().map(Vec::len)), (Some(0), Some(1)));
    let awaited = "laban: warning: payment: charge has not reacted to order.placed yet; the case is of what was there\n";
    assert!(err.contains(awaited), "{err}");
    assert!(err.contains("laban: warning: message 6 of stream ORDER is left out: header `Laban`"), "{err}");

    let args = ["flow", "export", "nobody", "--format", "case", "-s", &url];
    let (code, out, err) = outcome(&laban(&args).output()?);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.starts_with("laban: no flow \"nobody\": none of order, payment has"), "{err}");
    Ok(())
}

/// Jaeger is of help, and not needed.
#[tokio::test]
async fn without_jaeger_everything_else_is_the_same() -> Outcome {
    let broker = shop(0).await?;
    let args = ["flow", "show", "4711", "-s", &broker.url()];
    let (_, plain, _) = outcome(&laban(&args).output()?);
    let (code, out, err) = outcome(&laban(&args).env("LABAN_JAEGER_URL", "http://127.0.0.1:1").output()?);
    assert_eq!((code, out), (Some(0), plain));
    assert!(err.starts_with("laban: warning: Jaeger at http://127.0.0.1:1: "), "{err}");
    assert!(err.ends_with("; its spans are not shown\n"), "{err}");
    let (code, _, err) = outcome(&laban(&args).args(["--jaeger", "localhost:16686"]).output()?);
    assert!(code == Some(2) && err.contains("http://127.0.0.1:16686"), "{err}");
    Ok(())
}
