//! Handlers that do not keep up, or do not get on.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{Consumer, pull};
use futures_util::StreamExt as _;
use laban_flow::doctor::Options;
use laban_testkit::wait;

use crate::rig::*;

async fn deliveries(rig: &Rig, count: usize) -> Outcome<Vec<async_nats::jetstream::Message>> {
    let stream = rig.js.get_stream("ORDER").await?;
    let consumer: Consumer<pull::Config> = stream.get_consumer("payment_charge_order_placed").await?;
    let mut batch = consumer.batch().max_messages(count).expires(SOON).messages().await?;
    let mut all = Vec::new();
    while all.len() < count {
        all.push(batch.next().await.ok_or("a delivery")??);
    }
    Ok(all)
}

#[tokio::test]
async fn settings_that_give_events_up_are_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.consumer("ORDER", pull::Config { max_deliver: 5, headers_only: true, ..charge() }).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["error: unfit-consumer ORDER/payment_charge_order_placed"]);
    let told = told(&examined, "unfit-consumer ORDER/payment_charge_order_placed");
    assert!(told.contains("after 5 deliveries") && told.contains("no bodies"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_paused_consumer_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    let until = time::OffsetDateTime::now_utc() + time::Duration::DAY;
    rig.js.get_stream("ORDER").await?.pause_consumer("payment_charge_order_placed", until).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["error: unfit-consumer ORDER/payment_charge_order_placed"]);
    Ok(())
}

#[tokio::test]
async fn a_lag_that_grows_and_that_nobody_works_on_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    for number in 0..100 {
        rig.place(&number.to_string()).await?;
    }
    // It stands: nobody asks, and that is all.
    assert_eq!(named(&rig.examine().await), ["warning: nobody-asks ORDER/payment_charge_order_placed"]);
    let placing = async {
        for number in 100.. {
            rig.place(&number.to_string()).await.unwrap();
        }
    };
    let examined = tokio::select! {
        () = placing => unreachable!(),
        examined = rig.examine() => examined,
    };
    assert_eq!(
        named(&examined),
        [
            "warning: growing-lag ORDER/payment_charge_order_placed",
            "warning: nobody-asks ORDER/payment_charge_order_placed"
        ]
    );
    assert!(
        told(&examined, "growing-lag ORDER/payment_charge_order_placed").contains("nobody asks for them")
    );
    Ok(())
}

#[tokio::test]
async fn what_is_in_hand_for_ever_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.place("4711").await?;
    let _held = deliveries(&rig, 1).await?;
    // While a handler may still be at it, nothing is said.
    assert_eq!(named(&rig.examine().await), [""; 0]);
    // Its contract allows it a millisecond, and its consumer an `ack_wait` of 30 s until now.
    rig.consumer("ORDER", pull::Config { ack_wait: Duration::from_secs(1), ..charge() }).await?;
    let options = Options { overdue: Duration::ZERO, ..BRIEFLY };
    let mut examined = rig.examine_with(options).await;
    let overdue = wait::until("it is overdue", SOON, async || {
        examined = rig.examine_with(options).await;
        named(&examined).contains(&"warning: unacknowledged ORDER/payment_charge_order_placed".to_owned())
    });
    overdue.await.map_err(|error| format!("{error}; the last: {examined:#?}"))?;
    assert_eq!(
        named(&examined),
        ["warning: unacknowledged ORDER/payment_charge_order_placed", "warning: stuck-flows payment/charge"]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_delivered_again_is_a_note_and_much_of_it_a_warning() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.place("4711").await?;
    for delivery in deliveries(&rig, 1).await? {
        delivery.ack_with(AckKind::Nak(None)).await?;
    }
    let mut held = deliveries(&rig, 1).await?;
    assert_eq!(named(&rig.examine().await), ["note: redeliveries ORDER/payment_charge_order_placed"]);
    for number in 0..99 {
        rig.place(&number.to_string()).await?;
    }
    for delivery in deliveries(&rig, 99).await? {
        delivery.ack_with(AckKind::Nak(None)).await?;
    }
    held.extend(deliveries(&rig, 99).await?);
    assert_eq!(named(&rig.examine().await), ["warning: redeliveries ORDER/payment_charge_order_placed"]);
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_may_deliver_no_more_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.consumer("ORDER", pull::Config { max_ack_pending: 5, ..charge() }).await?;
    for number in 0..4 {
        rig.place(&number.to_string()).await?;
    }
    let mut held = deliveries(&rig, 4).await?;
    assert_eq!(named(&rig.examine().await), ["warning: pending-full ORDER/payment_charge_order_placed"]);
    rig.place("4").await?;
    held.extend(deliveries(&rig, 1).await?);
    assert_eq!(named(&rig.examine().await), ["error: pending-full ORDER/payment_charge_order_placed"]);
    Ok(())
}
