//! The spans of handlers' own, as Jaeger tells of them.

use laban_flow::{Flow, Reactions, TreeStyle, flow_of_trace};
use serde_json::{Value, json};

use crate::history::dispatched;
use crate::tree::{PLAIN, assert_golden};

const TRACE: &str = "0000000000000000000000004bf92f35";

fn span(id: &str, parent: &str, name: &str, start: u64, took: u64, tags: &Value) -> Value {
    json!({
        "spanID": id, "operationName": name, "startTime": 1_793_000_000_000_000_u64 + start, "duration": took,
        "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": parent}],
        "tags": tags,
    })
}

/// Jaeger's answer about a flow that went well: two statements in the run that captured the payment, one below the other,
/// and a failed call in the one that dispatched.
fn answer() -> Value {
    let labans = json!([{"key": "laban.flow", "type": "string", "value": "4711"}]);
    let failed = json!([{"key": "error", "type": "bool", "value": true}]);
    let none = json!([]);
    json!({"data": [{"traceID": TRACE, "spans": [
        span("0000000000000001", "00000000000000ff", "send order.placed.{flow}", 0, 100, &labans),
        span("000000000000aaaa", "0000000000000001", "process order.placed.{flow}", 400, 3_200, &labans),
        span("000000000000000b", "000000000000000a", "query <b>\u{202e}", 900, 1_000, &none),
        span("000000000000000a", "000000000000aaaa", "transaction", 500, 2_000, &none),
        span("0000000000000002", "000000000000aaaa", "send payment.captured.{flow}", 3_600, 100, &labans),
        span("000000000000bbbb", "0000000000000003", "process inventory.reserved.{flow}", 900, 3_200, &labans),
        span("0000000000000005", "000000000000bbbb", "send shipping.dispatched.{flow}", 900, 3_200, &labans),
        span("000000000000000c", "000000000000bbbb", "POST /parcels", 1_000, 9_000_000, &failed),
    ]}]})
}

fn flow() -> Flow {
    dispatched("4711").flow(&Reactions::default())
}

#[test]
fn spans_are_inside_the_run_that_made_them() {
    let mut flow = flow();
    assert_eq!(flow.put_inside(answer().to_string().as_bytes()).unwrap(), 3);
    let inside: Vec<_> = flow
        .steps
        .iter()
        .flat_map(|step| {
            step.inside.iter().map(move |span| (step.event.as_str(), &*span.name, span.depth, span.begin_ms))
        })
        .collect();
    assert_eq!(
        inside,
        [
            ("captured", "transaction", 0, 0.1),
            ("captured", "query <b>\u{202e}", 1, 0.5),
            ("dispatched", "POST /parcels", 0, 0.1),
        ]
    );
    assert_golden("inside", &flow.to_tree(PLAIN));
    assert_golden("inside-timeline", &flow.to_timeline(PLAIN, 100));
    let page = flow.to_html();
    assert!(page.contains("query &lt;b&gt;\\u{202e}") && page.contains("POST /parcels"), "{page}");
    let back: Flow = serde_json::from_str(&serde_json::to_string(&flow).unwrap()).unwrap();
    assert_eq!(back, flow);
}

#[test]
fn what_jaeger_says_may_be_anything() {
    let mut flow = flow();
    let plain = flow.clone();
    for nothing in [json!({}), json!({"data": null}), json!({"data": [{"traceID": "other", "spans": []}]})] {
        assert_eq!(flow.put_inside(nothing.to_string().as_bytes()).unwrap(), 0);
    }
    assert!(flow.put_inside(b"<html>").is_err());
    assert_eq!(flow, plain);
    // A circle, and more spans than are worth looking at.
    let mut spans = answer();
    let list = spans["data"][0]["spans"].as_array_mut().unwrap();
    list.push(span("000000000000000a", "000000000000000b", "circle", 1, 1, &json!([])));
    for n in 0..1_000 {
        list.push(span(&format!("f{n:015x}"), "000000000000aaaa", &"x".repeat(10_000), n, 1, &json!([])));
    }
    flow.put_inside(spans.to_string().as_bytes()).unwrap();
    let captured = flow.steps.iter().find(|step| step.event == "captured").unwrap();
    assert_eq!(captured.inside.len(), 100);
    assert!(flow.to_tree(TreeStyle::default()).len() < 20_000);
}

#[test]
fn a_trace_names_its_flow() {
    let found = |answer: Value| flow_of_trace(answer.to_string().as_bytes()).unwrap().map(|flow| flow.key());
    assert_eq!(found(answer()).as_deref(), Some("4711"));
    assert_eq!(found(json!({"data": []})), None);
}
