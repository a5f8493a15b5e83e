//! `laban stream`: what is listed, and what is changed in how many copies streams are kept.

use std::process::Stdio;

use async_nats::jetstream::{self, stream};
use laban_testkit::streams::home;
use laban_testkit::{Broker, Cluster, Process, Signal, wait};
use serde_json::Value;

use crate::{LABAN, Outcome, SOON, laban, outcome};

type Said = (Option<i32>, String, String);

fn run(url: &str, args: &[&str]) -> Outcome<Said> {
    let mut command = laban(&[&["stream"], args].concat());
    Ok(outcome(&command.env("NATS_URL", url).stdin(Stdio::null()).output()?))
}

/// What the broker says of a stream's configuration, to the last member.
async fn config(client: &async_nats::Client, stream: &str) -> Outcome<Value> {
    let answer = client.request(format!("$JS.API.STREAM.INFO.{stream}"), "".into()).await?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    Ok(answer["config"].clone())
}

/// Whether a process has said what it does about Ctrl-C: until then it is killed by it.
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    const INT: u64 = 1 << (2 - 1);
    caught.is_some_and(|mask| mask & INT != 0)
}

async fn timers(js: &jetstream::Context) -> Outcome {
    js.create_stream(stream::Config {
        name: "ORDER_TIMERS".into(),
        subjects: vec!["_timers.order.*.*.*".into(), "_due.order.*.*".into()],
        retention: stream::RetentionPolicy::WorkQueue,
        allow_message_schedules: true,
        metadata: [("laban.timers".to_owned(), "order".to_owned())].into(),
        ..Default::default()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn streams_of_the_mesh_are_listed_and_no_others() -> Outcome {
    let broker = Broker::start().await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let (code, out, err) = run(&broker.url(), &["list"])?;
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.contains("no service has a stream"), "{err}");

    js.create_stream(home("payment")).await?;
    js.create_stream(home("order")).await?;
    timers(&js).await?;
    let other = stream::Config { name: "OTHER".into(), subjects: vec!["other".into()], ..Default::default() };
    js.create_stream(other).await?;
    for flow in ["a", "b", "b"] {
        js.publish(format!("order.placed.{flow}"), "{}".into()).await?.await?;
    }
    let (code, out, err) = run(&broker.url(), &["list"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words.len(), 4, "{out}");
    let head = ["stream", "service", "what", "messages", "bytes", "subjects", "keeps", "replicas", "leader"];
    assert_eq!(words[0], head);
    assert_eq!(words[1][..4], ["ORDER", "order", "home", "3"], "{out}");
    assert_eq!(words[1][5..], ["B", "2", "30", "days", "1", "-"], "{out}");
    assert_eq!(words[2][..3], ["ORDER_TIMERS", "order", "timers"], "{out}");
    assert_eq!(words[2][5..], ["B", "0", "for", "ever", "1", "-"], "{out}");
    assert_eq!(words[3][..3], ["PAYMENT", "payment", "home"], "{out}");

    let (_, out, _) = run(&broker.url(), &["list", "--json"])?;
    let order: Value = serde_json::from_str(out.lines().next().unwrap())?;
    assert_eq!(
        (&order["stream"], &order["messages"], &order["subjects"]),
        (&"ORDER".into(), &3.into(), &2.into())
    );
    assert!(order["first_at"].is_string() && order["max_age_ms"] == 30 * 86_400_000_u64, "{order}");
    assert_eq!(
        (&order["replicas"], &order["missing"], &order["cluster"]),
        (&1.into(), &0.into(), &Value::Null)
    );
    Ok(())
}

#[tokio::test]
async fn a_broker_alone_has_no_room_for_replicas() -> Outcome {
    let broker = Broker::start().await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let (code, _, err) = run(&broker.url(), &["replicas", "3", "--yes"])?;
    assert!(code == Some(1) && err.contains("no service has a home stream"), "{err}");
    js.create_stream(home("order")).await?;
    let (code, out, err) = run(&broker.url(), &["replicas", "3", "--yes"])?;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("ORDER stands alone"), "{err}");
    let (code, out, _) = run(&broker.url(), &["replicas", "1"])?;
    assert!(code == Some(0) && out.starts_with("ORDER was left alone: it has 1"), "{out}");
    for (args, told) in [(["replicas", "0"], "1..=5"), (["replicas", "1.5"], "invalid")] {
        let (code, _, err) = run(&broker.url(), &args)?;
        assert!(code == Some(2) && err.contains(told), "{err}");
    }
    let (code, _, err) = run(&broker.url(), &["replicas", "1", "PAYMENT"])?;
    assert!(code == Some(2) && err.contains("no stream PAYMENT; it has ORDER"), "{err}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_changed_and_nothing_else() -> Outcome {
    let mut cluster = Cluster::builder()
        .node_config(0, r#"server_tags: ["ssd"]"#)
        .node_config(1, r#"server_tags: ["ssd"]"#)
        .start()
        .await?;
    let client = async_nats::connect(cluster.urls()).await?;
    let js = jetstream::new(client.clone());
    js.create_stream(home("order")).await?;
    timers(&js).await?;
    js.create_stream(stream::Config {
        name: "PAYMENT".into(),
        subjects: vec!["payment.*.*".into()],
        compression: Some(stream::Compression::S2),
        placement: Some(stream::Placement { cluster: None, tags: vec!["ssd".into()] }),
        metadata: [("laban.service", "payment"), ("team", "money")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Default::default()
    })
    .await?;
    for n in 0..50 {
        js.publish(format!("order.placed.{n}"), "{}".into()).await?.await?;
    }
    let url = cluster.url();

    // Who names no streams means all; two nodes have the tag that PAYMENT asks for.
    let (code, out, err) = run(&url, &["replicas", "3", "--yes"])?;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("PAYMENT is to have 3 replicas") && err.contains("with the tags ssd"), "{err}");
    assert!(err.contains("there are 2: n1, n2") && err.contains("Nothing was done"), "{err}");

    // Nobody is asked where nobody could answer.
    let (code, out, err) = run(&url, &["replicas", "3", "ORDER"])?;
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("ORDER (1)") && err.contains("--yes"), "{err}");
    let (code, out, _) = run(&url, &["replicas", "3", "ORDER", "--dry-run"])?;
    assert_eq!((code, out.as_str()), (Some(0), "ORDER would be changed: from 1 to 3\n"));
    assert_eq!(config(&client, "ORDER").await?["num_replicas"], 1);

    let mut expected = config(&client, "PAYMENT").await?;
    let (code, out, err) = run(&url, &["replicas", "2", "PAYMENT", "--yes"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("PAYMENT was changed: from 1 to 2, all current after "), "{out}");
    expected["num_replicas"] = 2.into();
    assert_eq!(config(&client, "PAYMENT").await?, expected);
    assert!(expected["compression"] == "s2" && expected["metadata"]["team"] == "money", "{expected}");

    let (code, out, _) = run(&url, &["replicas", "3", "ORDER", "ORDER_TIMERS", "--yes", "--json"])?;
    let lines: Vec<Value> = out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((code, lines.len()), (Some(0), 2), "{out}");
    assert!(lines.iter().all(|line| line["changed"] == true && line["current"] == true), "{out}");
    let (_, out, _) = run(&url, &["list"])?;
    assert!(out.lines().any(|line| line.starts_with("ORDER ") && line.contains("3, all current")), "{out}");

    // A node is away: three cannot be had, and what has them already lacks one.
    cluster.kill(2);
    cluster.ready().await?;
    let (code, _, err) = run(&url, &["replicas", "3", "--yes", "PAYMENT"])?;
    assert!(code == Some(1) && err.contains("Nothing was done"), "{err}");
    // Its absence is noticed when it has not been heard of for a while.
    wait::until("a replica to be missed", SOON, async || {
        run(&url, &["list"]).is_ok_and(|(_, out, _)| {
            out.lines().any(|line| line.starts_with("ORDER ") && line.contains("3, 1 missing"))
        })
    })
    .await?;
    let (code, _, err) = run(&url, &["replicas", "3", "ORDER", "--timeout", "200ms"])?;
    assert!(code == Some(1) && err.contains("stream ORDER: ") && err.contains("laban stream list"), "{err}");
    if cfg!(target_os = "linux") {
        let args = ["stream", "replicas", "3", "ORDER", "--server", &url];
        let waiting = Process::builder(LABAN).args(args).env_remove_prefixed(&["NATS_"]).spawn()?;
        wait::until("it to listen for Ctrl-C", SOON, async || listens(waiting.pid())).await?;
        waiting.signal(Signal::Int)?;
        let (status, said) = (waiting.wait_timeout(SOON).await?, waiting.log_tail(10));
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(
            said.contains("stopped while stream ORDER was on its way (2 of 3 replicas are current"),
            "{said}"
        );
    }
    cluster.start_again(2).await?;
    cluster.ready().await?;

    let (code, out, _) = run(&url, &["replicas", "1", "--yes"])?;
    assert_eq!((code, out.matches(" to 1, all current").count()), (Some(0), 3), "{out}");
    let held = js.get_stream("ORDER").await?.cached_info().state.messages;
    assert_eq!(held, 50, "nothing is lost on the way");
    Ok(())
}
