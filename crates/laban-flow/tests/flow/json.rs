//! The JSON is an interface: names are added, none is changed.

use laban_flow::Flow;
use serde_json::{Value, json};

use crate::history::{cancelled, shop};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn the_promised_fields_with_the_promised_values() {
    let flow = cancelled("4711").flow(&shop().into_iter().collect());
    let json = serde_json::to_value(&flow).unwrap();
    for key in ["flow", "state", "started_at", "ended_at", "steps"] {
        assert!(keys(&json).contains(&key), "{key}");
    }
    assert_eq!((&json["flow"], &json["state"]), (&json!("4711"), &json!("compensated")));
    assert_eq!(json["started_at"], "2026-10-26T07:33:20.001Z");
    let promised = [
        ("id", json!("0199f3c2-0000-7000-8000-000000000001")),
        ("service", json!("order")),
        ("event", json!("placed")),
        ("stream", json!("ORDER")),
        ("seq", json!(1)),
        ("at", json!("2026-10-26T07:33:20.001Z")),
        ("cause", Value::Null),
        ("handler", Value::Null),
        ("attempt", Value::Null),
        ("queue_ms", Value::Null),
        ("handle_ms", Value::Null),
        ("trace_id", json!("0000000000000000000000004bf92f35")),
        ("span_id", json!("0000000000000001")),
    ];
    for (key, value) in promised {
        assert_eq!(json["steps"][0].get(key), Some(&value), "{key}");
    }
    let retry = &json["steps"][2];
    assert_eq!((&retry["event"], &retry["cause"]), (&json!("_retrying"), &json["steps"][0]["id"]));
    assert_eq!((&retry["attempt"], &retry["handler"]), (&json!(1), &json!("charge")));
    assert_eq!((&retry["queue_ms"], &retry["handle_ms"]), (&json!(0.412), &json!(3.108)));
    assert_eq!((&retry["on"], &retry["error"]), (&json!("order.placed"), &json!("connection refused")));
}

#[test]
fn it_can_be_read_back() {
    let mut history = cancelled("4711");
    history.messages.retain(|message| !message.subject.contains("declined"));
    let flow = history.flow(&shop().into_iter().collect());
    let text = serde_json::to_string(&flow).unwrap();
    assert_eq!(serde_json::from_str::<Flow>(&text).unwrap(), flow);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["state"], &json["ended_at"]), (&json!("running"), &Value::Null));
    assert_eq!(
        keys(&json["awaited"][0]),
        ["cause", "due_at", "event", "handler", "next_at", "overdue", "service", "unless"]
    );
}
