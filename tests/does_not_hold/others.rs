//! A timer stream that was deleted, and records that somebody else wrote.

use laban::{Event as _, EventId};
use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_tests::small::{self, PaymentCaptured};
use laban_wire::{Meta, Millis, Reaction};

use crate::bench::*;

/// The consumer of the handler with a deadline.
const PATIENT: &str = "payment_patient_order_placed";

#[tokio::test]
async fn a_deleted_timer_stream_has_forgotten_its_timers_until_history_is_delivered_again() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    // Its deadline is an hour away.
    let instance = || {
        let service = small::service("patient").ok_or("there is no such service")?;
        Outcome::Ok(service.setting("NATS_URL", broker.url()).own_telemetry())
    };
    let first = instance()?.start().await?;
    bench.place().await?;
    bench.until_settled("ORDER", PATIENT).await?;
    assert_eq!(bench.state("PAYMENT_TIMERS").await?.messages, 1);
    stop(first).await?;

    bench.context().delete_stream("PAYMENT_TIMERS").await?;
    let second = instance()?.start().await?;
    assert_eq!(bench.state("PAYMENT_TIMERS").await?.messages, 0, "the stream is made again, and is empty");
    stop(second).await?;

    bench.context().delete_consumer_from_stream(PATIENT, "ORDER").await?;
    let _third = instance()?.start().await?;
    let set = async || bench.state("PAYMENT_TIMERS").await.is_ok_and(|state| state.messages == 1);
    wait::until("the timer to be set again", PATIENCE, set).await?;
    Ok(())
}

/// What looks like the outcome is the outcome.
#[tokio::test]
async fn a_forged_outcome_takes_the_place_of_the_true_one() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    stop(bench.payment(&Runs::default()).await?).await?;
    let order = bench.place().await?;
    let forged = EventId::root();
    let reaction = Reaction {
        cause: order,
        on: "order.placed".parse()?,
        handler: "charge".into(),
        attempt: 1,
        queue_ms: Millis::default(),
        handle_ms: Millis::default(),
    };
    let meta = Meta { reaction: Some(reaction), ..Meta::root(forged, PaymentCaptured::VERSION) };
    bench.write(&PaymentCaptured { order_id: FLOW.to_owned() }, &meta).await?;
    let _payment = bench.payment(&Runs::default()).await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    assert_eq!(outcomes(&bench.records("payment").await?), [forged], "the order is settled, by a stranger");
    Ok(())
}

/// Without a cause it is one more fact of the flow; the fence is lost once, and the outcome still takes effect once.
#[tokio::test]
async fn a_stranger_s_event_in_a_home_stream_is_taken_for_the_service_s_own() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    stop(bench.payment(&Runs::default()).await?).await?;
    let order = bench.place().await?;
    let strange = EventId::root();
    let meta = Meta::root(strange, PaymentCaptured::VERSION);
    bench.write(&PaymentCaptured { order_id: FLOW.to_owned() }, &meta).await?;
    let _payment = bench.payment(&Runs::default()).await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    assert_eq!(
        outcomes(&bench.records("payment").await?),
        [strange, outcome_of(order)],
        "both are in the flow"
    );
    Ok(())
}
