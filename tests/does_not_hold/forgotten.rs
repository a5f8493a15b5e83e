//! The fence rests on the service's own records of the flow. What takes them away, takes the memory away.

use std::time::Duration;

use laban_testkit::{Broker, wait};
use laban_tests::Outcome;
use laban_tests::small::PaymentCaptured;

use crate::bench::*;
use crate::disk::{copy, put_back};

async fn note(_: PaymentCaptured) {}

/// Records that expire before a second delivery. A start refuses a stream that keeps less than it is asked to; this one
/// was changed later.
#[tokio::test]
async fn an_outcome_that_expired_takes_effect_again() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let first = bench.payment(&Runs::default()).await?;
    let _shipping = bench.service("shipping").on(note).start().await?;
    let order = bench.place().await?;
    bench.until_records(1).await?;
    bench.until_settled("PAYMENT", "shipping_note_payment_captured").await?;
    stop(first).await?;

    let context = bench.context();
    let mut home = context.get_stream("PAYMENT").await?.cached_info().config.clone();
    let retention = std::mem::replace(&mut home.max_age, Duration::from_secs(1));
    home.duplicate_window = Duration::from_secs(1);
    context.update_stream(&home).await?;
    let gone = async || bench.state("PAYMENT").await.is_ok_and(|state| state.messages == 0);
    wait::until("the records to expire", PATIENCE, gone).await?;
    home.max_age = retention;
    context.update_stream(&home).await?;

    bench.deliver_again().await?;
    let outcome = outcome_of(order);
    assert_eq!(outcomes(&bench.records("payment").await?), [outcome]);
    assert_eq!(bench.state("PAYMENT").await?.last_sequence, 2, "it was written a second time");
    // The second has the id of the first: whoever still has a record of that absorbs it.
    bench.until_settled("PAYMENT", "shipping_note_payment_captured").await?;
    assert_eq!(bench.records("shipping").await?.len(), 1, "shipping has not forgotten");
    Ok(())
}

#[tokio::test]
async fn an_outcome_that_was_purged_takes_effect_again() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let first = bench.payment(&Runs::default()).await?;
    let order = bench.place().await?;
    bench.until_records(1).await?;
    stop(first).await?;
    bench.deliver_again().await?;
    assert_eq!(bench.state("PAYMENT").await?.last_sequence, 1, "the fence absorbs what it can still see");
    bench.context().get_stream("PAYMENT").await?.purge().filter(format!("payment.*.{FLOW}")).await?;
    bench.deliver_again().await?;
    assert_eq!(outcomes(&bench.records("payment").await?), [outcome_of(order)]);
    assert_eq!(bench.state("PAYMENT").await?.last_sequence, 2, "it was written a second time");
    Ok(())
}

/// The home stream is as it was before the order; the rest of the broker is as it is.
#[tokio::test]
async fn a_home_stream_from_a_backup_answers_again_what_it_answered_since() -> Outcome {
    let mut broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let first = bench.payment(&Runs::default()).await?;
    let home = broker.store_dir().join("jetstream/$G/streams/PAYMENT");
    broker.stop().await?;
    let backup = copy(&home)?;
    broker.start_again().await?;
    bench.place().await?;
    bench.until_records(1).await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    stop(first).await?;

    broker.stop().await?;
    put_back(&backup, &home)?;
    broker.start_again().await?;
    let runs = Runs::default();
    let second = bench.payment(&runs).await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    assert_eq!(
        bench.records("payment").await?.len(),
        0,
        "what was answered since is gone, and nobody asks again"
    );
    assert_eq!(runs.count(), 0);
    stop(second).await?;
    bench.deliver_again().await?;
    assert_eq!(bench.records("payment").await?.len(), 1, "delivered again, it is answered again");
    Ok(())
}

/// A home stream that is put back under an instance at work, which remembers what the stream has forgotten.
#[tokio::test]
async fn an_instance_at_work_goes_by_what_a_restored_home_stream_has_forgotten() -> Outcome {
    let broker = Broker::start().await?;
    let bench = Bench::of(&broker).await?;
    let _order = bench.orders().await?;
    let runs = Runs::default();
    let first = bench.payment(&runs).await?;
    bench.place().await?;
    bench.until_records(1).await?;
    bench.until_settled("ORDER", CONSUMER).await?;
    assert_eq!(runs.count(), 1);

    // A backup from before the order is an empty stream.
    let context = bench.context();
    let home = context.get_stream("PAYMENT").await?.cached_info().config.clone();
    context.delete_stream("PAYMENT").await?;
    context.create_stream(home).await?;
    context.delete_consumer_from_stream(CONSUMER, "ORDER").await?;
    // It makes the consumer again, and all history is delivered to it.
    bench.until_settled("ORDER", CONSUMER).await?;
    assert_eq!((bench.records("payment").await?.len(), runs.count()), (0, 1), "it takes it for answered");

    stop(first).await?;
    bench.deliver_again().await?;
    assert_eq!(bench.records("payment").await?.len(), 1, "who remembers nothing answers");
    Ok(())
}
