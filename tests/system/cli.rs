//! `laban flow show` on flows of the real shop.

use std::process::{Command, Output};

use demo::orders::Plan;
use demo::program;
use laban_flow::Flow;
use laban_tests::{Outcome, Shop};
use laban_wire::FlowId;
use serde_json::Value;

fn flow_show(shop: &Shop, flow: &FlowId, json: bool) -> Outcome<Output> {
    let mut command = Command::new(program("laban", "-p laban-cli")?);
    command.args(["flow", "show", "--server", &shop.mesh.broker().url()]);
    if json {
        command.arg("--json");
    }
    Ok(command.arg("--").arg(flow.key()).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn every_flow_is_shown_as_json_whatever_its_id() -> Outcome {
    const FLOW: [&str; 5] = ["flow", "state", "started_at", "ended_at", "steps"];
    const STEP: [&str; 13] = [
        "id",
        "service",
        "event",
        "stream",
        "seq",
        "at",
        "cause",
        "handler",
        "attempt",
        "queue_ms",
        "handle_ms",
        "trace_id",
        "span_id",
    ];
    let shop = Shop::open().await?;
    // Enough for each of the odd ids.
    let plan = Plan::new(200, 40);
    let placed = shop.place(&plan).await;
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    let odd = placed.iter().filter(|one| one.order.what.contains("with the id"));
    let cancelled = over.audit.cancelled.iter().take(2);
    let flows: Vec<&FlowId> = odd.filter_map(|one| one.flow.as_ref()).chain(cancelled).collect();
    assert!(flows.len() >= 16, "expected every odd id to be a flow, there are {}", flows.len());
    for id in flows {
        // A key with a NUL cannot be an argument.
        if id.key().contains('\0') {
            continue;
        }
        let output = flow_show(&shop, id, true)?;
        assert_eq!(output.status.code(), Some(0), "expected flow {id} to be shown: {}", text(&output.stderr));
        let shown: Value = serde_json::from_slice(&output.stdout)?;
        for key in FLOW {
            assert!(!shown[key].is_null(), "flow {id}: expected {key:?} in {shown}");
        }
        assert_eq!(shown["flow"], id.key(), "expected the key as it was given");
        let steps = shown["steps"].as_array().ok_or("expected a list of steps")?;
        for (index, step) in steps.iter().enumerate() {
            for key in STEP {
                let value = step.get(key);
                assert!(value.is_some(), "flow {id}: expected {key:?} in each step: {step}");
                // What began the flow has no cause; everything else has everything.
                let expected =
                    index > 0 || !["cause", "handler", "attempt", "queue_ms", "handle_ms"].contains(&key);
                assert_eq!(
                    value.is_some_and(|value| !value.is_null()),
                    expected,
                    "flow {id}: {key:?} of {step}"
                );
            }
        }
        let undone = steps.iter().any(|step| step["event"] == "released" || step["event"] == "refunded");
        assert_eq!(shown["state"], if undone { "compensated" } else { "completed" }, "flow {id}");
        let flow: Flow = serde_json::from_slice(&output.stdout)?;
        assert_eq!(Some(flow), over.history.flow(id), "left: as shown; right: as read here");
    }
    Ok(())
}

#[tokio::test]
async fn a_flow_is_shown_as_a_tree() -> Outcome {
    let shop = Shop::open().await?;
    let over = shop.serves(&Plan::plain(1, 41)).await?;
    let id = over.audit.completed.first().ok_or("expected the one order to complete")?;
    let output = flow_show(&shop, id, false)?;
    let shown = text(&output.stdout);
    for expected in
        ["completed", "order.placed", "payment.captured", "shipping.dispatched", "order.completed", "close"]
    {
        assert!(shown.contains(expected), "expected {expected:?} in:\n{shown}");
    }
    Ok(())
}
