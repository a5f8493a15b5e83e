//! Events from clients that know nothing of Laban are events like any other.

use async_nats::{HeaderMap, jetstream};
use demo::orders::{Ending, Order, Placed, Plan};
use laban_tests::{Outcome, Shop, headers};
use laban_wire::FlowId;
use serde_json::json;

/// The body of an `order.placed` for two mugs.
pub(crate) fn body(order_id: &str) -> Vec<u8> {
    let lines = json!([{ "sku": "mug", "quantity": 2, "unit_price_cents": 900 }]);
    let order = json!({
        "order_id": order_id, "customer": "ada@example.com", "card": "visa", "lines": lines, "total_cents": 1800,
    });
    order.to_string().into_bytes()
}

/// What should come of it.
fn expected(order_id: &str) -> Outcome<Placed> {
    let order = Order {
        what: format!("placed elsewhere as {order_id}"),
        requests: Vec::new(),
        ending: Some(Ending::Completed),
        total_cents: 1800,
    };
    let flow = Some(FlowId::new(order_id)?);
    Ok(Placed { order, flow, trace_id: None, refused: 0, problems: Vec::new() })
}

#[tokio::test]
async fn a_body_alone_and_cloud_events_are_orders_too() -> Outcome {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let shop = Shop::open().await?;
    let context = jetstream::new(shop.mesh.client().await?);
    let cloud_event = |id: &'static str, names: [&'static str; 5]| {
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let values = ["1.0", id, "/till", "order.placed", &traceparent];
        headers(names.into_iter().zip(values))
    };
    let cases = [
        ("plain", HeaderMap::new()),
        ("lower", cloud_event("A-1", ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-traceparent"])),
        ("upper", cloud_event("A-2", ["Ce-Specversion", "CE-ID", "CE-Source", "Ce-Type", "Traceparent"])),
        ("odd trace", headers([("traceparent", "not one")])),
    ];
    let mut plan = Plan { orders: Vec::new(), contended_completed: 0 };
    let mut placed = Vec::new();
    for (id, headers) in cases {
        let subject = format!("order.placed.{}", FlowId::new(id)?.token());
        context.publish_with_headers(subject, headers, body(id).into()).await?.await?;
        let one = expected(id)?;
        plan.orders.push(one.order.clone());
        placed.push(one);
    }
    let over = shop.over(&plan, &placed).await?;
    over.assert_as_planned(&plan);
    for id in ["lower", "upper"] {
        let flow = over.history.flow(&FlowId::new(id)?).ok_or("expected the flow to be there")?;
        assert_eq!(flow.traces(), [TRACE], "expected flow {id} to go on in the trace it came with");
    }
    Ok(())
}
