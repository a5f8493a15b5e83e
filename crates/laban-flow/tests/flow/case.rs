//! A flow as a test.

use laban_flow::{Flow, Reactions};
use laban_wire::Message;
use laban_wire::case::Case;
use serde_json::{Value, json};

use crate::history::{History, cancelled, dispatched, shop};

/// The case that the flow of these messages makes, as it is written.
fn text(history: &History) -> String {
    let reactions: Reactions = shop().into_iter().collect();
    let flow = Flow::from_messages(&history.flow, history.messages.clone(), &reactions).unwrap();
    let read = history.messages.iter().cloned().filter_map(|stored| Message::try_from(stored).ok());
    let messages: Vec<Message> = read.collect();
    let records = flow.to_case(&messages);
    Case::new(history.flow.clone(), records, Vec::new()).unwrap().to_json().unwrap()
}

fn records(history: &History) -> Vec<Value> {
    let case: Value = serde_json::from_str(&text(history)).unwrap();
    case["records"].as_array().unwrap().clone()
}

fn names(history: &History) -> Vec<String> {
    records(history).iter().map(|record| record["event"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_record_comes_after_its_cause_with_all_that_tells_of_it() {
    let records = records(&dispatched("4711"));
    let [placed, rest @ ..] = records.as_slice() else { panic!("nothing") };
    let id = &placed["id"];
    assert_eq!(placed, &json!({"event": "order.placed", "version": 1, "id": id, "body": {}}));
    let captured = rest.iter().find(|record| record["event"] == "payment.captured").unwrap();
    let expected = json!({
        "event": "payment.captured", "version": 1, "id": captured["id"],
        "cause": id, "on": "order.placed", "handler": "charge", "body": {},
    });
    assert_eq!(captured, &expected);
    let handled = rest.iter().find(|record| record["event"] == "shipping._handled").unwrap();
    let expected = json!({
        "event": "shipping._handled", "cause": captured["id"], "on": "payment.captured", "handler": "dispatch",
    });
    assert_eq!(handled, &expected, "its id would tell the attempt");
    for (index, record) in records.iter().enumerate().filter(|(_, record)| record.get("cause").is_some()) {
        assert!(records[..index].iter().any(|before| before["id"] == record["cause"]), "{record}");
    }
}

#[test]
fn times_traces_and_attempts_are_no_part_of_it() {
    let mut later = cancelled("4711");
    for message in &mut later.messages {
        message.at += time::Duration::hours(3);
        message.headers.insert("traceparent", "00-00000000000000000000000000000009-0000000000000009-01");
        message.seq += 1000;
    }
    assert_eq!(text(&cancelled("4711")), text(&later));
    assert!(cancelled("4711").messages.iter().any(|message| message.subject.contains("_retrying")));
    assert!(!names(&later).iter().any(|name| name.contains("_retrying")), "{:?}", names(&later));
}

#[test]
fn a_dead_letter_is_part_of_it_while_it_stands() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.dead("payment", placed, "order.placed", "charge", 3);
    history.pause(1000);
    history.dead("payment", placed, "order.placed", "charge", 3);
    let [_, dead] = records(&history).try_into().unwrap();
    let expected = json!({
        "event": "payment._dead", "cause": placed.to_string(), "on": "order.placed", "handler": "charge",
        "reason": "exhausted", "error": "connection refused", "fingerprint": "f",
    });
    assert_eq!(dead, expected, "the last one, without its input");
    history.attempt("payment._redrive", placed, "order.placed", "charge", 1, r#"{"dead_seq": 2}"#);
    history.reaction("payment.captured", placed, "order.placed", "charge");
    assert_eq!(names(&history), ["order.placed", "payment.captured"]);
}

#[test]
fn what_was_published_twice_or_has_no_cause_here_is_there_once_or_as_it_came() {
    let mut history = dispatched("4711");
    let whole = text(&history);
    let twice = history.messages[0].clone();
    history.messages.push(laban_wire::Stored { seq: 99, ..twice });
    assert_eq!(text(&history), whole);
    history.messages.retain(|message| !message.subject.starts_with("payment."));
    let left = names(&history);
    assert_eq!(left, ["order.placed", "inventory.reserved", "shipping.dispatched", "order.completed"]);
    assert!(!text(&history).contains("_handled"), "of an event that is not there");
}

/// Bodies of other origin, and messages that nobody understands.
#[test]
fn any_body_is_kept_and_what_cannot_be_understood_is_left_out() {
    let mut history = History::new("4711");
    for body in [r#"{"z": 1.50, "a": 2}"#, "ding", ""] {
        history.store("till.rung", &[], body);
    }
    history.messages.last_mut().unwrap().payload = bytes::Bytes::from_static(b"\xff\x00");
    history.store("till.rung", &[("Laban", "id=none")], "{}");
    let records = records(&history);
    let bodies: Vec<_> = records
        .iter()
        .map(|record| [&record["body"], &record["text"], &record["base64"]])
        .map(|[body, text, base64]| json!([body, text, base64]))
        .collect();
    let expected =
        [json!([{"z": 1.50, "a": 2}, null, null]), json!([null, "ding", null]), json!([null, null, "/wA="])];
    assert_eq!(bodies, expected);
    assert!(text(&history).contains("\"z\": 1.50,"), "to the letter");
}
