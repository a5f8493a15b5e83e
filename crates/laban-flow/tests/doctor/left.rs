//! What waits for somebody.

use std::time::Duration;

use async_nats::HeaderMap;
use laban_flow::doctor::Options;
use laban_testkit::wait;
use laban_wire::{EventId, HEADER};
use serde_json::json;

use crate::rig::*;

#[tokio::test]
async fn dead_letters_are_counted_up_to_a_limit() -> Outcome {
    let rig = Rig::healthy().await?;
    for flow in ["1", "2", "3"] {
        let (id, cause) = (EventId::root(), EventId::root());
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, format!("id={id} cause={cause} on=order.placed handler=charge attempt=1"));
        let body = json!({
            "reason": "rejected", "error": "no", "attempts": 1, "fingerprint": "a899e79b1c8a",
            "input": {"stream": "ORDER", "seq": 1, "subject": format!("order.placed.{flow}")},
        });
        let subject = format!("payment._dead.{flow}");
        rig.js.publish_with_headers(subject, headers, body.to_string().into()).await?.await?;
    }
    let examined = rig.examine().await;
    assert_eq!(named(&examined), ["warning: dead-letters payment"]);
    let all = told(&examined, "dead-letters payment");
    assert!(
        all.starts_with("3 dead letters") && all.contains("`laban dead list --service payment`"),
        "{all}"
    );
    let examined = rig.examine_with(Options { most: 1, ..BRIEFLY }).await;
    assert!(told(&examined, "dead-letters payment").starts_with("at least "), "{examined:?}");
    Ok(())
}

#[tokio::test]
async fn stuck_flows_are_counted_by_the_step_that_is_missing() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.place("4711").await?;
    rig.place("4712").await?;
    let options = Options { overdue: Duration::from_millis(1), ..BRIEFLY };
    let mut last = None;
    wait::until("they are overdue", SOON, async || {
        let examined = rig.examine_with(options).await;
        let is_found = named(&examined).contains(&"warning: stuck-flows payment/charge".to_owned());
        last = Some(examined);
        is_found
    })
    .await?;
    let examined = last.unwrap();
    assert!(told(&examined, "stuck-flows payment/charge").starts_with("2 flows wait for it"), "{examined:?}");
    assert_eq!(examined.looked_at.flows, 2);
    Ok(())
}
