//! The auditor itself: what is wrong must be seen, or its silence means nothing.

use async_nats::jetstream;
use demo::audit::audit;
use demo::orders::{Ending, Plan};
use laban_tests::{Outcome, Shop, headers};
use laban_wire::{EventId, Message};

#[tokio::test]
async fn an_auditor_sees_a_second_end_a_second_outcome_and_a_wrong_one() -> Outcome {
    let shop = Shop::open().await?;
    let plan = Plan::plain(2, 60);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);

    // Somebody captures once more for the first order, and ends it once more.
    let id = over.audit.completed.first().ok_or("expected two orders to complete")?;
    let context = jetstream::new(shop.mesh.client().await?);
    for event in ["payment.captured", "order.completed"] {
        let subject = format!("{event}.{}", id.token());
        let stored = over.history.messages(id).iter().find(|stored| stored.subject == subject);
        let stored = stored.ok_or_else(|| format!("expected {subject} to be there"))?.clone();
        let payload = stored.payload.clone();
        let mut meta = Message::try_from(stored)?.meta;
        meta.id = EventId::root();
        let forged = headers([("Laban", meta.to_header().as_str())]);
        context.publish_with_headers(subject, forged, payload).await?.await?;
    }
    // And the other one was to end otherwise.
    let mut placed = placed;
    for one in placed.iter_mut().filter(|one| one.flow.as_ref() != Some(id)) {
        one.order.ending = Some(Ending::Cancelled(None));
        one.order.total_cents += 1;
    }
    let history = shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    let audit = audit(&plan, &placed, &history, &shop.mesh.books())?;
    let findings = audit.findings.join("\n");
    for expected in [
        "it should have one end, it has [Completed, Completed]",
        "payment charge reacted to",
        "order close reacted to",
        "it should have ended with Some(Cancelled(None)), it ended with Completed",
        "cents were kept, completed orders cost",
    ] {
        assert!(findings.contains(expected), "expected {expected:?} among the findings:\n{findings}");
    }
    // The second end is also the second outcome of whoever ended the flow.
    assert_eq!(audit.duplicates, 3, "expected every duplicate to be counted:\n{findings}");
    assert!(!audit.books_balanced, "expected the books not to balance:\n{findings}");
    Ok(())
}

#[tokio::test]
async fn an_auditor_sees_what_never_happened() -> Outcome {
    let mut shop = Shop::open().await?;
    shop.mesh.kill_service(demo::Service::Shipping);
    let plan = Plan::plain(2, 61);
    let placed = shop.place(&plan).await;
    let mut history = shop.history().await?;
    laban_testkit::wait::until("all but shipping to react", std::time::Duration::from_secs(30), async || {
        let read = history.read_on().await.is_ok();
        let waits = |one: &laban_flow::Awaited| one.service == "shipping";
        let open = |id| {
            history.flow(id).is_some_and(|flow| flow.awaited.len() == 2 && flow.awaited.iter().all(waits))
        };
        read && placed.iter().filter_map(|one| one.flow.as_ref()).all(open)
    })
    .await?;
    let audit = audit(&plan, &placed, &history, &shop.mesh.books())?;
    let findings = audit.findings.join("\n");
    for expected in ["it has not ended; awaited: shipping dispatch", "reserved for ever", "paid, but not"] {
        assert!(findings.contains(expected), "expected {expected:?} among the findings:\n{findings}");
    }
    assert_eq!((audit.stuck, audit.completed.len()), (2, 0), "expected both to be stuck:\n{findings}");
    Ok(())
}
