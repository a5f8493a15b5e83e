use async_nats::jetstream;
use laban_wire::metadata;
use serde_json::Value;

use crate::flow_show::shop;
use crate::{Outcome, laban, outcome};

/// A shop whose flow `4711` lacks a reaction of `shipping`, which does not run.
pub(crate) async fn without_shipping() -> Outcome<laban_testkit::Broker> {
    let broker = shop(3).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let said = [
        (metadata::SERVICE, "shipping"),
        (metadata::HANDLER, "dispatch"),
        (metadata::EVENT, "payment.captured"),
    ];
    let dispatch = jetstream::consumer::pull::Config {
        durable_name: Some("shipping_dispatch_payment_captured".into()),
        filter_subject: "payment.captured.*".into(),
        metadata: said.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    js.create_consumer_on_stream(dispatch, "PAYMENT").await?;
    Ok(broker)
}

#[tokio::test]
async fn a_table_newest_first() -> Outcome {
    let broker = without_shipping().await?;
    let (code, out, err) = outcome(&laban(&["flow", "list"]).env("NATS_URL", broker.url()).output()?);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("flow ") && lines[0].ends_with("missing"), "{out}");
    assert!(lines[1].starts_with("long  ") && lines[1].contains(" completed "), "{out}");
    assert!(lines[2].starts_with("4711  ") && lines[2].ends_with("  shipping dispatch"), "{out}");
    assert_eq!((lines.len(), out.contains('\x1b')), (3, false), "{out}");
    Ok(())
}

#[tokio::test]
async fn what_is_stuck_is_named_in_both_commands() -> Outcome {
    let broker = without_shipping().await?;
    let url = broker.url();
    let run = |args: &[&str]| -> Outcome<(Option<i32>, String, String)> {
        Ok(outcome(&laban(args).env("NATS_URL", &url).output()?))
    };
    // Not yet by default.
    let (code, out, err) = run(&["flow", "list", "--state", "stuck"])?;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", "laban: no such flow\n"));
    let (_, out, _) = run(&["flow", "list", "--state", "stuck", "--overdue", "0s", "--json"])?;
    let line: Value = serde_json::from_str(&out)?;
    assert_eq!((&line["flow"], &line["state"]), (&"4711".into(), &"stuck".into()));
    let awaited = &line["awaited"][0];
    assert_eq!((&awaited["service"], &awaited["handler"]), (&"shipping".into(), &"dispatch".into()));
    assert_eq!(
        (&awaited["event"], &awaited["overdue"]["why"]),
        (&"payment.captured".into(), &"nobody_asks".into())
    );
    assert!(awaited["overdue"]["since"].is_string(), "{line}");
    let (_, out, _) = run(&["flow", "show", "4711", "--overdue", "0s"])?;
    assert!(out.starts_with("flow 4711 · stuck · "), "{out}");
    assert!(out.contains("\noverdue: shipping dispatch, on payment.captured, since "), "{out}");
    let (_, out, _) = run(&["flow", "list", "--state", "stuck", "--overdue", "0s"])?;
    assert!(out.ends_with("  shipping dispatch, no instance asks for it\n"), "{out}");
    Ok(())
}

#[tokio::test]
async fn json_is_one_object_a_line_and_pages_go_on() -> Outcome {
    let broker = without_shipping().await?;
    let url = broker.url();
    let (code, out, err) = outcome(&laban(&["flow", "list", "--json", "--limit", "1", "-s", &url]).output()?);
    let first: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &first["flow"], &first["steps"]), (Some(0), &"long".into(), &3.into()));
    let place = first["place"].as_str().ok_or("no place")?;
    assert_eq!(err, format!("laban: there are more: --after {place}\n"));
    let (_, out, err) = outcome(&laban(&["flow", "list", "--json", "--after", place, "-s", &url]).output()?);
    let second: Value = serde_json::from_str(&out)?;
    assert_eq!(
        (&second["flow"], &second["services"]),
        (&"4711".into(), &serde_json::json!(["order", "payment"]))
    );
    assert_eq!(err, "");
    let (_, out, _) =
        outcome(&laban(&["flow", "list", "--json", "--since", "1h", "--key", "47*", "-s", &url]).output()?);
    assert_eq!(out.lines().count(), 1);
    let (_, out, _) =
        outcome(&laban(&["flow", "list", "--json", "--until", "2020-01-01T00:00:00Z", "-s", &url]).output()?);
    assert_eq!(out, "");
    Ok(())
}
