//! Services that are not there, and what they have left.

use async_nats::jetstream::consumer::pull;
use laban_testkit::Broker;

use crate::rig::*;

#[tokio::test]
async fn a_service_without_an_instance_is_found_with_what_waits_for_it() -> Outcome {
    let mut rig = Rig::bare(Broker::start().await?).await?;
    rig.services(1).await?;
    rig.instance("order", order(), &[], |_| {}).await?;
    rig.place("4711").await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: absent-service payment"]);
    let told = told(&examined, "absent-service payment");
    assert!(told.contains("ORDER/payment_charge_order_placed: 1 event waits"), "{told}");
    // One that may not announce itself is known by what it pulls.
    let stream = rig.js.get_stream("PAYMENT").await?;
    let consumer = stream.get_consumer::<pull::Config>("payment__redrive").await?;
    let _asking = consumer.batch().max_messages(1).expires(2 * SOON).messages().await?;
    assert_eq!(
        named(&rig.examine().await),
        ["warning: nobody-asks ORDER/payment_charge_order_placed", "note: absent-service payment"]
    );
    Ok(())
}

#[tokio::test]
async fn consumers_that_nobody_wants_are_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.consumer("ORDER", position("payment", "settle", "order.placed")).await?;
    rig.consumer("ORDER", position("audit", "note", "order.placed")).await?;
    let examined = rig.examine().await;
    assert_eq!(
        named(&examined),
        [
            "warning: orphaned-consumer ORDER/audit_note_order_placed",
            "warning: orphaned-consumer ORDER/payment_settle_order_placed"
        ]
    );
    let gone = told(&examined, "orphaned-consumer ORDER/audit_note_order_placed");
    assert!(gone.contains("service audit has no contract, and no instance"), "{gone}");
    assert!(gone.contains("`laban retire audit`"), "{gone}");
    let dropped = told(&examined, "orphaned-consumer ORDER/payment_settle_order_placed");
    assert!(dropped.contains("no handler settle of payment reacts to order.placed"), "{dropped}");
    assert!(dropped.contains("`laban retire payment settle --event order.placed`"), "{dropped}");
    Ok(())
}

#[tokio::test]
async fn a_consumer_to_which_no_event_comes_any_more_is_found() -> Outcome {
    let mut rig = Rig::bare(Broker::start().await?).await?;
    rig.services(1).await?;
    let silent = serde_json::json!({"service": "order", "handlers": [], "begins": [], "events": []});
    rig.register("order", &silent).await?;
    rig.instance("order", silent, &[], |_| {}).await?;
    rig.payment(|_| {}).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: orphaned-consumer ORDER/payment_charge_order_placed"]);
    let told = told(&examined, "orphaned-consumer ORDER/payment_charge_order_placed");
    assert!(told.contains("order.placed, which handler charge reacts to, is emitted by nobody"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_is_no_service_s_is_a_note() -> Outcome {
    let rig = Rig::healthy().await?;
    let other = pull::Config { durable_name: Some("warehouse".to_owned()), ..Default::default() };
    rig.consumer("ORDER", other).await?;
    // Somebody who only reads has no durable name.
    rig.consumer("ORDER", pull::Config::default()).await?;
    assert_eq!(named(&rig.examine().await), ["note: foreign-consumer ORDER/warehouse"]);
    Ok(())
}

#[tokio::test]
async fn a_stream_whose_service_is_gone_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.js.create_stream(home("audit")).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: stream-without-service AUDIT"]);
    assert!(
        told(&examined, "stream-without-service AUDIT").contains("`laban retire audit --delete-history`")
    );
    // As `laban retire` leaves it: somebody has decided that it is history.
    let mut left = async_nats::HeaderMap::new();
    left.insert("KV-Operation", "DEL");
    rig.js.publish_with_headers("$KV.laban_contracts.audit", left, "".into()).await?.await?;
    assert_eq!(named(&rig.examine().await), ["note: stream-without-service AUDIT"]);
    Ok(())
}
