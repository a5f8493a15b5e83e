//! Streams that are not as they must be, forget too soon, or are nearly full.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use laban_testkit::Broker;
use laban_wire::metadata::{TIMERS, UNLESS, WIRE, WIRE_VERSION, WITHIN_MS};

use crate::rig::*;

#[tokio::test]
async fn limits_that_were_set_after_the_start_are_found() -> Outcome {
    let rig = Rig::healthy().await?;
    let changed = Config {
        discard: DiscardPolicy::Old,
        max_messages: 1_000,
        max_messages_per_subject: 5,
        allow_rollup: true,
        ..home("payment")
    };
    rig.js.update_stream(changed).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["error: unfit-stream PAYMENT"]);
    let told = told(&examined, "unfit-stream PAYMENT");
    for fault in ["discards old records", "per subject", "rollups"] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timer_stream_that_forgets_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    let timers = Config {
        name: "PAYMENT_TIMERS".to_owned(),
        subjects: laban_wire::Timer::subjects_of(&"payment".parse()?).into(),
        retention: async_nats::jetstream::stream::RetentionPolicy::WorkQueue,
        allow_message_schedules: true,
        max_age: DAY,
        metadata: said(&[(TIMERS, "payment"), (WIRE, WIRE_VERSION)]),
        ..Default::default()
    };
    rig.js.create_stream(timers).await?;
    let examined = rig.examine().await;
    // Nor has any handler of this service a deadline.
    assert_eq!(
        named(&examined),
        ["error: unfit-stream PAYMENT_TIMERS", "warning: stream-without-service PAYMENT_TIMERS"]
    );
    assert!(told(&examined, "unfit-stream PAYMENT_TIMERS").contains("forgets timers after 1.0 days"));
    Ok(())
}

#[tokio::test]
async fn a_service_that_forgets_before_its_events_do_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.js.update_stream(Config { max_age: 60 * DAY, ..home("order") }).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["error: short-retention payment"]);
    let told = told(&examined, "short-retention payment");
    for part in [
        "keeps records for 30.0 days",
        "ORDER keeps its events for 60.0 days; charge",
        "LABAN_RETENTION_DAYS=60",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // For ever is longer than any time, and what is kept longer than the events is fine.
    rig.js.update_stream(Config { max_age: std::time::Duration::ZERO, ..home("order") }).await?;
    assert_eq!(named(&rig.examine().await), ["error: short-retention payment"]);
    rig.js.update_stream(Config { max_age: 29 * DAY, ..home("order") }).await?;
    assert_eq!(named(&rig.examine().await), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_passes_when_its_event_is_gone_is_found() -> Outcome {
    let rig = Rig::healthy().await?;
    let mut late = charge();
    late.metadata.insert(UNLESS.to_owned(), "payment.captured".to_owned());
    late.metadata.insert(WITHIN_MS.to_owned(), (40 * DAY).as_millis().to_string());
    rig.consumer("ORDER", late).await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["error: short-retention payment/charge"]);
    assert!(
        told(&examined, "short-retention payment/charge").contains("passes 40.0 days after order.placed")
    );
    Ok(())
}

#[tokio::test]
async fn a_stream_near_its_limit_is_found_and_a_full_one_is_an_error() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.js.update_stream(Config { max_messages: 10, ..home("payment") }).await?;
    for number in 0..8 {
        rig.js.publish(format!("payment.captured.{number}"), "{}".into()).await?.await?;
    }
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: storage-filling PAYMENT"]);
    assert!(told(&examined, "storage-filling PAYMENT").contains("8 of its `max_msgs` 10"));
    for number in 8..10 {
        rig.js.publish(format!("payment.captured.{number}"), "{}".into()).await?.await?;
    }
    assert_eq!(named(&rig.examine().await), ["error: storage-filling PAYMENT"]);
    Ok(())
}

#[tokio::test]
async fn an_account_near_its_limit_is_found() -> Outcome {
    let accounts = "accounts { MESH { jetstream { max_file: 1MB, max_memory: 1MB }, users: [{user: m, password: m}] } }\n\
                    no_auth_user: m";
    let rig = Rig::bare(Broker::builder().config(accounts).start().await?).await?.furnished(1).await?;
    assert_eq!(named(&rig.examine().await), [""; 0]);
    rig.js.publish("payment.captured.1", vec![b'x'; 900_000].into()).await?.await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: storage-filling account"]);
    assert!(told(&examined, "storage-filling account").contains("of 1.0 MiB are used"), "{examined:?}");
    Ok(())
}
