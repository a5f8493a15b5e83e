use async_nats::jetstream;
use laban_testkit::{Process, wait};
use laban_wire::{EventId, Meta};

use crate::flow_list::without_shipping;
use crate::flow_show::write;
use crate::{LABAN, Outcome, SOON, laban, outcome};

/// `laban metrics`, at work.
struct Metrics {
    process: Process,
    url: String,
}

impl Metrics {
    async fn start(url: &str, args: &[&str]) -> Outcome<Self> {
        let process = Process::builder(LABAN)
            .env_remove_prefixed(&["NATS_", "LABAN_"])
            .args(["metrics", "--server", url, "--listen", "127.0.0.1:0", "--every", "200ms"])
            .args(args)
            .spawn()?;
        let mut url = String::new();
        process
            .until("say where it serves", SOON, async || {
                let log = process.log_tail(5);
                url = log
                    .split("serving ")
                    .nth(1)
                    .and_then(|rest| rest.lines().next())
                    .unwrap_or_default()
                    .into();
                url.ends_with("/metrics")
            })
            .await?;
        Ok(Self { process, url })
    }

    /// Waits until its page has all of these lines; returns the page.
    async fn tells(&self, expected: &[&str]) -> Outcome<String> {
        let mut last = String::new();
        let found = wait::until_some(format!("{expected:?}"), SOON, async || {
            last = reqwest::get(&self.url).await.ok()?.text().await.ok()?;
            expected.iter().all(|line| last.lines().any(|told| told == *line)).then(|| last.clone())
        })
        .await;
        found.map(|(page, _)| page).map_err(|e| format!("{e}; the last page:\n{last}").into())
    }
}

#[tokio::test]
async fn it_waits_for_the_broker_and_tells_of_flows_until_sigterm() -> Outcome {
    let mut broker = without_shipping().await?;
    broker.kill();
    let metrics =
        Metrics::start(&broker.url(), &["--overdue", "0s", "--brokers", &broker.monitor_url()]).await?;
    let down =
        format!("laban_broker_up{{server=\"{}\"}}", broker.monitor_url().trim_start_matches("http://"));
    let page = metrics.tells(&[&format!("{down} 0")]).await?;
    assert!(!page.contains("laban_flows{") && !page.contains("laban_stream_bytes"), "{page}");

    broker.start_again().await?;
    let overdue =
        r#"laban_reactions_overdue{laban_service="shipping",laban_handler="dispatch",why="nobody_asks"} 1"#;
    let pending = r#"laban_consumer_pending{laban_service="shipping",laban_handler="dispatch",messaging_consumer_group_name="shipping_dispatch_payment_captured"} 1"#;
    let page = metrics
        .tells(&[
            &format!("{down} 1"),
            r#"laban_flows{state="stuck"} 1"#,
            r#"laban_flows{state="running"} 0"#,
            r#"laban_flow_duration_seconds_count{state="completed"} 0"#,
            r#"laban_stream_messages{laban_service="order",stream="ORDER"} 4"#,
            r#"laban_stream_replicas_missing{laban_service="order",stream="ORDER"} 0"#,
            overdue,
            pending,
        ])
        .await?;
    assert!(page.contains("laban_broker_storage_limit_bytes"), "{page}");

    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    write(&js, "order.placed", "late", &Meta::root(EventId::root(), 1)).await?;
    metrics.tells(&[r#"laban_flow_duration_seconds_count{state="completed"} 1"#]).await?;

    assert!(metrics.process.log_tail(5).contains("no broker at"), "{}", metrics.process.log_tail(5));
    let status = metrics.process.stop(SOON).await?;
    assert_eq!(status.code(), Some(0), "{}", metrics.process.log_tail(20));
    Ok(())
}

#[tokio::test]
async fn what_is_more_than_it_may_read_is_told_of() -> Outcome {
    let broker = without_shipping().await?;
    let metrics = Metrics::start(&broker.url(), &["--overdue", "0s", "--most", "1"]).await?;
    metrics.tells(&[r#"laban_flows{state="stuck"} 1"#]).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    write(&js, "payment.captured", "second", &Meta::root(EventId::root(), 1)).await?;
    let found = wait::until("a look to be cut short", SOON, async || {
        let page = metrics.tells(&[r#"laban_flows{state="stuck"} 1"#]).await;
        page.is_ok_and(|page| !page.contains(r#"laban_looks_total{outcome="cut_short"} 0"#))
    });
    found.await?;
    Ok(())
}

#[test]
fn what_cannot_be_used_stops_it() -> Outcome {
    let (code, _, err) = outcome(&laban(&["metrics", "--listen", "here"]).output()?);
    assert!(code == Some(2) && err.contains("'--listen <ADDR>'"), "{err}");
    let (code, _, err) = outcome(&laban(&["metrics", "--brokers", "127.0.0.1:8222"]).output()?);
    assert!(code == Some(2) && err.contains("is no address such as `http://"), "{err}");
    let (code, _, err) = outcome(&laban(&["metrics"]).env("LABAN_METRICS_EVERY", "soon").output()?);
    assert!(code == Some(2) && err.starts_with("laban: LABAN_METRICS_EVERY=`soon`: "), "{err}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let (code, _, err) = outcome(&laban(&["metrics"]).env("LABAN_METRICS_ADDR", &address).output()?);
    assert!(code == Some(1) && err.contains(&format!("cannot listen on {address}")), "{err}");
    let (code, _, err) =
        outcome(&laban(&["metrics", "--listen", "127.0.0.1:0", "--context", "absent"]).output()?);
    assert!(code == Some(2) && err.contains("nats context `absent`"), "{err}");
    Ok(())
}

#[tokio::test]
async fn health_says_by_its_exit_code_whether_one_serves_there() -> Outcome {
    // Nobody needs a broker to be alive.
    let metrics = Metrics::start("nats://127.0.0.1:9", &[]).await?;
    let served = metrics.url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    // As a container is told where to listen.
    let everywhere = served.replace("127.0.0.1", "0.0.0.0");
    let health = |address: &str| laban(&["metrics", "health"]).env("LABAN_METRICS_ADDR", address).output();
    assert_eq!(outcome(&health(&everywhere)?), (Some(0), "ok\n".to_owned(), String::new()));

    metrics.process.stop(SOON).await?;
    let (code, out, err) = outcome(&health(&served)?);
    assert!(code == Some(1) && out.is_empty() && err.contains(&served), "{code:?} {out} {err}");
    let (code, _, err) = outcome(&health("127.0.0.1:0")?);
    assert!(code == Some(2) && err.contains("LABAN_METRICS_ADDR"), "{err}");
    Ok(())
}
