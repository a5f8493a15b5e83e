use async_nats::jetstream;
use serde_json::Value;

use crate::mesh::{fixture, registered};
use crate::{Outcome, laban, outcome};

/// Exit code, standard output, standard error of `laban check`.
fn check(args: &[&str]) -> Outcome<(Option<i32>, String, String)> {
    Ok(outcome(&laban(&[&["check"], args].concat()).output()?))
}

#[test]
fn the_shop_is_clean() -> Outcome {
    let (code, out, err) = check(&[&fixture("shop.json")])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "clean: 5 services, 11 handlers, 11 events\n");
    let (code, out, _) = check(&[&fixture("shop.json"), "--json"])?;
    let report: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &report["clean"], &report["findings"]), (Some(0), &true.into(), &Value::Array(vec![])));
    Ok(())
}

#[test]
fn each_problem_is_named_and_exit_code_1() -> Outcome {
    for (name, subject) in [
        ("unconsumed-event", "payment.audited"),
        ("untriggered-reaction", "payment/settle"),
        ("cycle", "order.payment-requested"),
        ("missing-compensation", "payment.captured/shipping.refused"),
        ("two-producers", "payment.captured"),
        ("request-reply", "order.price-requested/pricing.price-given"),
        ("assumed-order", "shipping/dispatch"),
    ] {
        let file = fixture(&format!("{name}.json"));
        let (code, out, _) = check(&[&file])?;
        assert_eq!(code, Some(1), "{name}");
        assert!(out.contains(&format!(": {name} {subject}\n")) && out.contains("\n  fix: "), "{out}");
        assert!(out.contains("\n1 finding: "), "{out}");

        let (code, out, _) = check(&[&file, "--json"])?;
        let report: Value = serde_json::from_str(&out)?;
        assert_eq!((code, &report["findings"][0]["kind"]), (Some(1), &name.into()));

        let (code, out, err) = check(&[&file, "--allow", &format!("{name}:{subject}")])?;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.ends_with(" (1 allowed)\n"), "{out}");
    }
    Ok(())
}

#[test]
fn a_breaking_change_is_shown_with_the_difference_and_the_fix() -> Outcome {
    let (code, out, _) = check(&[&fixture("breaking-change.json"), "--against", &fixture("registered")])?;
    assert_eq!(code, Some(1));
    let wanted = [
        "error: breaking-change order.placed\n",
        "    `customer` is gone\n",
        "    `total_cents` was a whole number, is now text\n",
        "  fix: make it version 2, ",
    ];
    assert!(wanted.iter().all(|line| out.contains(line)), "{out}");
    // What is registered completes the map: that nobody reacts to `order.placed` is not so.
    assert!(!out.contains("unconsumed-event"), "{out}");
    Ok(())
}

#[tokio::test]
async fn files_are_compared_with_what_is_registered_at_the_broker() -> Outcome {
    let dir = tempfile::tempdir()?;
    let both: Vec<Value> = ["registered/order.json", "registered/payment.json"]
        .iter()
        .map(|name| serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap())
        .collect();
    let file = dir.path().join("both.json");
    std::fs::write(&file, Value::Array(both).to_string())?;
    let broker = registered(file.to_str().unwrap()).await?;
    let args = [&fixture("breaking-change.json"), "--against-registered", "--server", &broker.url()];
    let (code, out, _) = check(&args)?;
    assert_eq!(code, Some(1));
    assert!(out.contains("error: breaking-change order.placed\n") && out.contains("\n1 finding"), "{out}");
    Ok(())
}

#[tokio::test]
async fn a_live_mesh_is_checked_with_its_newest_messages() -> Outcome {
    let broker = registered(&fixture("shop.json")).await?;
    let url = broker.url();
    let (code, out, err) = check(&["--server", &url])?;
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (Some(0), "clean: 5 services, 11 handlers, 11 events\n", "")
    );
    let js = jetstream::new(async_nats::connect(&url).await?);
    js.publish("order.placed.4711", "{}".into()).await?.await?;
    let (code, out, _) = check(&["--server", &url])?;
    assert_eq!(code, Some(1));
    for finding in ["unversioned-event order.placed", "untraced-message order"] {
        assert!(out.contains(&format!("warning: {finding}\n")), "{out}");
    }
    let (code, _, _) = check(&["--server", &url, "--sample", "0"])?;
    assert_eq!(code, Some(0));
    Ok(())
}

#[test]
fn sarif_names_the_rule_and_the_file() -> Outcome {
    let file = fixture("cycle.json");
    let (code, out, _) = check(&[&file, "--sarif"])?;
    let log: Value = serde_json::from_str(&out)?;
    let run = &log["runs"][0];
    assert_eq!((code, &log["version"]), (Some(1), &"2.1.0".into()));
    assert_eq!(run["tool"]["driver"]["rules"].as_array().map(Vec::len), Some(10));
    let result = &run["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"cycle".into(), &"warning".into()));
    let location = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(location, file.as_str());
    let (code, out, _) = check(&[&file, "--sarif", "--allow", "cycle"])?;
    let log: Value = serde_json::from_str(&out)?;
    assert_eq!(code, Some(0));
    assert_eq!(log["runs"][0]["results"][0]["suppressions"][0]["kind"], "external");
    Ok(())
}

#[test]
fn what_cannot_be_used_is_exit_code_2() -> Outcome {
    let dir = tempfile::tempdir()?;
    let empty = dir.path().to_str().unwrap();
    let shop = &fixture("shop.json");
    for (args, said) in [
        (&["nowhere.json"][..], "cannot read nowhere.json"),
        (&[empty], "has no `.json` file"),
        (&[shop, shop], "service order has two contracts"),
        (&[shop, "--allow", "dance"], "there is no finding called `dance`"),
        (&["--against", shop], "<FILES>"),
        (&[shop, "--json", "--sarif"], "cannot be used with"),
    ] {
        let (code, out, err) = check(args)?;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains(said), "{err}");
    }
    let (code, _, err) = check(&[shop, "--allow", "cycle"])?;
    assert_eq!(code, Some(0));
    assert_eq!(err, "laban: warning: --allow cycle covers nothing that was found\n");
    Ok(())
}
