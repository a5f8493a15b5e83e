//! What instances say of themselves: their contract, their clock, their spans.

use laban_testkit::Broker;
use laban_wire::SpanTotals;
use serde_json::json;
use time::Duration;

use crate::rig::*;

/// A mesh without an instance of `payment`.
async fn without_payment() -> Outcome<Rig> {
    let mut rig = Rig::bare(Broker::start().await?).await?;
    rig.services(1).await?;
    rig.instance("order", order(), &[], |_| {}).await?;
    Ok(rig)
}

#[tokio::test]
async fn an_instance_of_another_build_is_found() -> Outcome {
    let mut rig = Rig::healthy().await?;
    let mut newer = payment();
    newer["events"][1]["schema"]["required"] = json!(["amount_cents"]);
    rig.instance("payment", newer, &["payment_charge_order_placed"], |data| {
        data.ip = Some("10.0.3.17".to_owned())
    })
    .await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: contract-drift payment"]);
    let told = told(&examined, "contract-drift payment");
    assert!(
        told.contains("1 of 2 instances run another contract") && told.contains("at 10.0.3.17"),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn an_instance_that_says_no_fingerprint_is_known_by_what_it_pulls() -> Outcome {
    for (pulls, found) in
        [("payment_charge_order_placed", &[][..]), ("other", &["warning: contract-drift payment"])]
    {
        let mut rig = without_payment().await?;
        rig.instance("payment", payment(), &[pulls], |data| data.contract = None).await?;
        assert_eq!(named(&rig.examine().await), found, "{pulls}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_does_not_know_the_version_is_found() -> Outcome {
    let mut rig = Rig::bare(Broker::start().await?).await?;
    rig.services(1).await?;
    let mut newer = order();
    newer["events"][0]["version"] = json!(2);
    rig.register("order", &newer).await?;
    rig.instance("order", newer, &[], |_| {}).await?;
    rig.payment(|_| {}).await?;
    assert_eq!(named(&rig.examine().await), ["error: breaking-change payment/charge"]);
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_off_is_found_on_either_side() -> Outcome {
    for (off, severity, words) in [
        (Duration::seconds(-20), "warning", "s behind"),
        (Duration::seconds(20), "warning", "s ahead"),
        (Duration::minutes(10), "error", "s ahead"),
    ] {
        let mut rig = without_payment().await?;
        rig.payment(move |data| data.now = data.now.map(|now| now + off)).await?;
        let examined = rig.examine().await;
        assert_eq!(named(&examined), [format!("{severity}: clock-drift payment")]);
        assert!(told(&examined, "clock-drift payment").contains(words), "{examined:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_clock_that_is_not_told_is_not_looked_at() -> Outcome {
    let mut rig = without_payment().await?;
    rig.payment(|data| data.now = None).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), [""; 0]);
    assert!(
        examined.unseen.iter().any(|one| one.what == "the clocks of instances of payment"),
        "{examined:?}"
    );
    Ok(())
}

#[tokio::test]
async fn lost_spans_are_found_and_a_few_of_many_are_a_note() -> Outcome {
    for (exported, severity) in [(900, "warning"), (100_000, "note")] {
        let mut rig = without_payment().await?;
        let spans = SpanTotals { exported, queue_full: 99, export_failed: 1 };
        rig.payment(move |data| data.spans = Some(spans)).await?;
        let examined = rig.examine().await;
        assert_eq!(named(&examined), [format!("{severity}: dropped-spans payment")]);
        assert!(told(&examined, "dropped-spans payment").contains("100 spans of "), "{examined:?}");
    }
    Ok(())
}
