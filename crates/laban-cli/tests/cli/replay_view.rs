//! `laban replay view`: history as it went.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::TryStreamExt as _;
use laban_testkit::{Broker, Process, Signal, wait};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::flow_show::shop;
use crate::{LABAN, Outcome, SOON, laban, outcome};

fn view(broker: &Broker, args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    let args: Vec<&str> = ["replay", "view"].into_iter().chain(args.iter().copied()).collect();
    Ok(outcome(&laban(&args).env("NATS_URL", broker.url()).output()?))
}

fn json_lines(out: &str) -> Outcome<Vec<Value>> {
    Ok(out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

async fn consumers(broker: &Broker) -> Outcome<Vec<String>> {
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    let mut all = Vec::new();
    for stream in ["ORDER", "PAYMENT"] {
        all.extend(js.get_stream(stream).await?.consumer_names().try_collect::<Vec<_>>().await?);
    }
    Ok(all)
}

#[tokio::test]
async fn a_line_for_each_record_and_totals() -> Outcome {
    let broker = shop(2).await?;
    let (code, out, err) = view(&broker, &[])?;
    assert_eq!(code, Some(0), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    assert!(lines[0].ends_with("  order.placed            4711"), "{out}");
    let captured =
        "  payment.captured        4711            charge        on order.placed: waited 0.4 ms, took 3.1 ms";
    assert!(lines[1].ends_with(captured), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    assert!(
        err.starts_with("laban: 4 records of 2 services, at full speed\nlaban: 4 records of 2 flows in "),
        "{err}"
    );
    assert!(
        err.contains(" UTC: 4 events\n  order    3 records: 3 events\n  payment  1 record: 1 event\n"),
        "{err}"
    );
    let (_, out, _) = view(&broker, &["--payload", "--flow", "4711"])?;
    assert!(out.lines().count() == 2 && out.lines().all(|line| line.ends_with("  {}")), "{out}");
    assert_eq!(consumers(&broker).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn json_lines_of_what_is_selected() -> Outcome {
    let broker = shop(3).await?;
    let (code, out, err) = view(&broker, &["--json", "--flow", "4711"])?;
    assert_eq!(code, Some(0), "{err}");
    let lines = json_lines(&out)?;
    let [placed, captured] = lines.as_slice() else { return Err(out.into()) };
    assert_eq!((&placed["service"], &placed["event"]), (&"order".into(), &"placed".into()));
    assert_eq!((&captured["cause"], &captured["handler"]), (&placed["id"], &"charge".into()));
    assert_eq!((&captured["flow"], &captured["payload"]), (&"4711".into(), &serde_json::json!({"json": {}})));
    let count = |args: &[&str]| -> Outcome<usize> { Ok(json_lines(&view(&broker, args)?.1)?.len()) };
    assert_eq!(count(&["--json", "--service", "payment"])?, 1);
    assert_eq!(count(&["--json", "--event", "order.placed,payment.captured"])?, 5);
    assert_eq!(count(&["--json", "--stream", "ORDER", "--from-seq", "2", "--to-seq", "3"])?, 2);
    assert_eq!(count(&["--json", "--since", "1h", "--events-only"])?, 5);
    let (code, out, err) = view(&broker, &["--json", "--until", "2020-01-01T00:00:00Z"])?;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", "laban: no such record\n"));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_meant_is_exit_code_2() -> Outcome {
    let broker = shop(0).await?;
    for (args, said) in [
        (&["--from-seq", "1"][..], "sequences are of one stream, and ORDER, PAYMENT are selected"),
        (&["--service", "bank"], "no service `bank` has a home stream there; these have: order, payment"),
        (&["--since", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], "ends before it begins"),
        (&["--speed", "0"], "`0` is no speed"),
    ] {
        let (code, out, err) = view(&broker, args)?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(said), "{err}");
    }
    let bare = Broker::start().await?;
    let (code, _, err) = view(&bare, &[])?;
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("no service has a home stream there: is this the right broker"), "{err}");
    Ok(())
}

/// The records' own time is a second at the speed that is asked for.
#[tokio::test]
async fn gaps_are_kept_at_the_speed_that_is_asked_for() -> Outcome {
    let broker = shop(20).await?;
    let times = json_lines(&view(&broker, &["--json"])?.1)?
        .iter()
        .map(|line| Ok(OffsetDateTime::parse(line["at"].as_str().ok_or("no time")?, &Rfc3339)?))
        .collect::<Outcome<Vec<_>>>()?;
    let (first, last) = (times.iter().min().ok_or("nothing")?, times.iter().max().ok_or("nothing")?);
    let speed = (*last - *first).as_seconds_f64().to_string();
    let began = Instant::now();
    let (code, out, err) = view(&broker, &["--speed", &speed, "--max-gap", "1m"])?;
    assert_eq!((code, out.lines().count()), (Some(0), 22), "{err}");
    assert!(began.elapsed() >= Duration::from_secs(1), "it took {:?}", began.elapsed());
    // What is cut is said.
    let (_, out, _) = view(&broker, &["--speed", &speed, "--max-gap", "0s"])?;
    assert!(out.lines().any(|line| line.starts_with("… ") && line.ends_with(" later")), "{out}");
    Ok(())
}

#[tokio::test]
async fn ctrl_c_ends_it_with_what_was_played_so_far_and_leaves_nothing() -> Outcome {
    let broker = shop(3).await?;
    for signal in [Signal::Int, Signal::Term] {
        let args = ["replay", "view", "--speed", "0.000001", "--max-gap", "1h", "--server", &broker.url()];
        let process = Process::builder(LABAN).args(args).env("LC_ALL", "C.UTF-8").spawn()?;
        wait::until("the first record", SOON, async || {
            process.log_tail(usize::MAX).contains("order.placed            4711")
        })
        .await?;
        process.signal(signal)?;
        assert_eq!(process.wait_timeout(SOON).await?.code(), Some(0));
        let said = process.log_tail(usize::MAX);
        assert!(said.contains("laban: so far 1 of 5 records of 1 flow in "), "{said}");
        assert_eq!(consumers(&broker).await?, [""; 0]);
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_failure() -> Outcome {
    let broker = shop(3_000).await?;
    for form in [&["--json"][..], &[]] {
        let args: Vec<&str> = ["replay", "view"].into_iter().chain(form.iter().copied()).collect();
        let mut running = laban(&args)
            .env("NATS_URL", broker.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut first = String::new();
        BufReader::new(running.stdout.take().ok_or("no output")?).read_line(&mut first)?;
        assert!(first.contains("4711"), "{first}");
        let (code, _, err) = outcome(&running.wait_with_output()?);
        assert_eq!((code, err.as_str()), (Some(0), "laban: 3002 records of 2 services, at full speed\n"));
    }
    assert_eq!(consumers(&broker).await?, [""; 0]);
    Ok(())
}
