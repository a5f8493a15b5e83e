use async_nats::jetstream::{self, stream};
use laban_testkit::Broker;
use laban_testkit::streams::home;
use serde_json::Value;

use crate::mesh::{fixture, registered};
use crate::{Outcome, laban, outcome};

/// Exit code, standard output, standard error of `laban doctor`.
fn doctor(args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    Ok(outcome(&laban(&[&["doctor", "--watch-for", "500ms"], args].concat()).output()?))
}

/// A broker with the home stream of a service, as the service makes it.
async fn with_home(broker: Broker, service: &str) -> Outcome<Broker> {
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    js.create_stream(home(service)).await?;
    Ok(broker)
}

#[tokio::test]
async fn findings_are_told_with_their_fix_and_exit_code_1() -> Outcome {
    // Contracts, two home streams that were changed later, and nobody is there.
    let broker = registered(&fixture("shop.json")).await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    for service in ["order", "inventory"] {
        js.update_stream(stream::Config { allow_atomic_publish: false, ..home(service) }).await?;
    }
    let url = broker.url();
    let (code, out, err) = doctor(&["--server", &url])?;
    assert_eq!((code, err.as_str()), (Some(1), ""));
    for part in [
        "error: unfit-stream ORDER\n  the home stream is not as it must be",
        "\n    atomic batches are not allowed\n  fix: `nats stream edit ORDER`",
        "warning: absent-service payment\n",
        "not looked at: `sync_interval`, storage and health of ",
        "\n  to look at it: `--brokers http://<host>:8222`",
        "\nlooked at 1 server, 5 services, 0 instances, 5 contracts, 6 streams, 0 consumers, 0 open flows\n",
        "\n7 findings: 2 errors, 5 warnings (1 matter not looked at)\n",
    ] {
        assert!(out.contains(part), "{part:?} in:\n{out}");
    }

    let (code, out, _) = doctor(&["--server", &url, "--json"])?;
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!(
        (code, &report["well"], &report["looked_at"]["services"]),
        (Some(1), &false.into(), &5.into())
    );
    let first = &report["findings"][0];
    assert_eq!((&first["kind"], &first["subject"]), (&"unfit-stream".into(), &"INVENTORY".into()));
    assert!(first["fix"].as_str().is_some_and(|fix| fix.contains("nats stream edit INVENTORY")));
    assert_eq!(report["unseen"].as_array().map(Vec::len), Some(1));

    let allow = ["--allow", "unfit-stream", "--allow", "absent-service", "--allow", "clock-drift:order"];
    let (code, out, err) = doctor(&[&["--server", &url][..], &allow].concat())?;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("\nnothing is wrong (7 allowed, 1 matter not looked at)\n"), "{out}");
    assert_eq!(err, "laban: warning: --allow clock-drift:order covers nothing that was found\n");
    Ok(())
}

#[tokio::test]
async fn what_is_acknowledged_before_it_is_on_the_disk_is_found_by_the_monitoring() -> Outcome {
    let broker = with_home(Broker::start().await?, "order").await?;
    let both = ["--server", &broker.url(), "--brokers", &broker.monitor_url()];
    let (code, out, _) = doctor(&[&both[..], &["--allow", "stream-without-service"]].concat())?;
    assert_eq!(code, Some(1));
    let found = "it writes to the disk every 2.0 min: a power cut forgets what it acknowledged since\n    \
                 with fewer than three replicas: ORDER\n  fix: `jetstream { sync_interval: always }`";
    assert!(
        out.contains("warning: lax-sync ") && out.contains(found) && !out.contains("not looked at"),
        "{out}"
    );

    let broker = with_home(Broker::builder().sync_always().start().await?, "order").await?;
    let both = ["--server", &broker.url(), "--brokers", &broker.monitor_url()];
    let (code, out, _) = doctor(&[&both[..], &["--allow", "stream-without-service"]].concat())?;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("\nnothing is wrong (1 allowed)\n"), "{out}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_nearly_full_is_found_by_its_monitoring() -> Outcome {
    let small = "jetstream { max_file_store: 1MB, sync_interval: always }";
    let broker = with_home(Broker::builder().jetstream(false).config(small).start().await?, "order").await?;
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    js.publish("order.placed.1", vec![b'x'; 900_000].into()).await?.await?;
    let both = ["--server", &broker.url(), "--brokers", &broker.monitor_url()];
    let (code, out, _) = doctor(&both)?;
    assert_eq!(code, Some(1));
    assert!(out.contains("warning: storage-filling ") && out.contains(" of 1.0 MiB are used"), "{out}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_answer_its_monitoring_is_found() -> Outcome {
    let broker = Broker::start().await?;
    let (code, out, _) = doctor(&["--server", &broker.url(), "--brokers", "http://127.0.0.1:1"])?;
    assert_eq!(code, Some(1));
    assert!(out.contains("error: server-unwell http://127.0.0.1:1\n"), "{out}");
    Ok(())
}

#[tokio::test]
async fn a_broker_without_services_is_told_of() -> Outcome {
    let broker = Broker::start().await?;
    let (code, out, err) = doctor(&["--server", &broker.url()])?;
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(
        err,
        "laban: warning: no service is known there: is this the right broker, and the right account?\n"
    );
    Ok(())
}

#[test]
fn no_broker_is_exit_code_3_and_what_cannot_be_used_2() -> Outcome {
    let (code, out, err) = doctor(&["--server", "nats://127.0.0.1:1"])?;
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.starts_with("laban: no broker at nats://127.0.0.1:1"), "{err}");
    for (args, said) in [
        (&["--allow", "dance"][..], "there is no finding called `dance`"),
        (&["--brokers", "127.0.0.1:8222"], "is no address such as `http://"),
        (&["--overdue", "soon"], "is no time span"),
    ] {
        let (code, out, err) = doctor(args)?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(said), "{err}");
    }
    Ok(())
}
