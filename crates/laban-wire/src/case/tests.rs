use serde_json::{Value, json};

use super::*;

const A: &str = "0199f3c2-0000-7000-8000-000000000001";
const B: &str = "7e1b32d0-2339-59e6-9f44-6861294b20b1";

fn case() -> Value {
    json!({
        "laban_case": 1,
        "flow": "order 1.2",
        "ignore": ["payment.captured:/at"],
        "records": [
            {"event": "order.placed", "version": 1, "id": A, "body": {"order_id": "4711"}},
            {"event": "payment.captured", "version": 2, "id": B, "cause": A, "on": "order.placed",
             "handler": "charge", "body": null},
            {"event": "shipping._handled", "cause": B, "on": "payment.captured", "handler": "dispatch"},
            {"event": "order._dead", "cause": B, "on": "payment.captured", "handler": "close",
             "reason": "rejected", "error": "no order 4711", "fingerprint": "a899e79b1c8a"},
            {"event": "till.rung", "id": "0199f3c2-0000-7000-8000-000000000002", "text": "ding"},
            {"event": "till.shut", "id": "0199f3c2-0000-7000-8000-000000000003", "base64": "/wA="},
        ],
    })
}

fn parse(case: &Value) -> Result<Case, String> {
    Case::parse(case.to_string().as_bytes()).map_err(|e| e.to_string())
}

/// Why the case is refused once it is changed.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut case = case();
    change(&mut case);
    parse(&case).expect_err("it is no case any more")
}

#[test]
fn what_is_written_is_read_and_written_the_same() {
    let read = parse(&case()).unwrap();
    assert_eq!(read.flow().key(), "order 1.2");
    let text = read.to_json().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), case());
    assert_eq!(Case::parse(text.as_bytes()).unwrap().to_json().unwrap(), text);
}

/// Numbers that no machine type holds, and the order of members, are the author's.
#[test]
fn bodies_are_kept_to_the_letter_but_for_space() {
    let body = r#"{"z":1e400,"a":[1.50,{}, [ ],{"x" : "a \" : {,\\"}],"big":123456789012345678901234567890}"#;
    let text =
        format!(r#"{{"laban_case":1,"flow":"1","records":[{{"event":"a.b","id":"{A}","body":{body}}}]}}"#);
    let case = Case::parse(text.as_bytes()).unwrap();
    let written = case.to_json().unwrap();
    let again = Case::parse(written.as_bytes()).unwrap();
    for case in [case, again] {
        let CaseWhat::Event { body: kept, .. } = &case.records()[0].what else { panic!("no event") };
        let compact =
            r#"{"z":1e400,"a":[1.50,{},[],{"x":"a \" : {,\\"}],"big":123456789012345678901234567890}"#;
        assert_eq!(std::str::from_utf8(&kept.to_bytes()).unwrap(), compact);
    }
    assert!(
        written.contains("\n        \"z\": 1e400,\n        \"a\": [\n          1.50,\n          {},\n"),
        "{written}"
    );
}

#[test]
fn another_form_and_another_file_are_told_apart() {
    let later = refused(|case| case["laban_case"] = json!(2));
    assert_eq!(later, "`laban_case` is 2, and 1 is read here: use the release that wrote it, or a later one");
    assert!(refused(|case| *case = json!({"flow": "4711"})).contains("`laban_case` is missing"));
    assert!(parse(&json!([])).is_err());
    let large = vec![b' '; MAX_BYTES + 1];
    assert!(Case::parse(&large).unwrap_err().to_string().contains("at most 16777216"));
}

#[test]
fn a_slip_of_the_hand_is_named_with_its_place() {
    for (told, change) in [
        ("unknown field `ignores`", (|case| case["ignores"] = json!([])) as fn(&mut Value)),
        ("unknown field `bdy`", |case| case["records"][0]["bdy"] = json!(1)),
        ("a flow id must not be empty", |case| case["flow"] = json!("")),
        ("`captured` is no place", |case| case["ignore"] = json!(["captured"])),
        ("`payment.captured:at` is no place", |case| case["ignore"] = json!(["payment.captured:at"])),
        ("`cause`, `on` and `handler` belong together", |case| {
            case["records"][1].as_object_mut().unwrap().remove("on");
        }),
        ("an event has an `id`, and a `body`", |case| {
            case["records"][0].as_object_mut().unwrap().remove("body");
        }),
        ("one of `body`, `text` and `base64`", |case| case["records"][0]["text"] = json!("x")),
        ("`base64` is none", |case| case["records"][5]["base64"] = json!("/wA")),
        ("and nothing else", |case| case["records"][2]["body"] = json!({})),
        ("`reason`, `error` and `fingerprint` are for `_dead`", |case| {
            case["records"][0]["error"] = json!("x")
        }),
        ("no other system records", |case| case["records"][2]["event"] = json!("shipping._retrying")),
        ("unknown variant `bored`", |case| case["records"][3]["reason"] = json!("bored")),
        ("record 1 of 6, payment.captured: its cause", |case| {
            case["records"].as_array_mut().unwrap().swap(0, 1)
        }),
        ("record 2 of 6, payment.captured: its id", |case| case["records"][1]["id"] = json!(A)),
        ("record 2 of 5, shipping._handled: its cause", |case| {
            case["records"].as_array_mut().unwrap().remove(1);
        }),
    ] {
        let refused = refused(change);
        assert!(refused.contains(told), "{told}: {refused}");
    }
    let one = case()["records"][4].clone();
    let many = |case: &mut Value| case["records"] = vec![one; MAX_RECORDS + 1].into();
    assert!(refused(many).contains("it has 10001 records, a case has at most 10000"));
}

#[test]
fn what_is_ignored_is_taken_out_of_a_body_and_nothing_else() {
    let body = json!({"at": 1, "list": [{"id": 7}, 8], "a/b": {"~": 2}});
    let without = |place: &str| {
        let mut body = body.clone();
        place.parse::<Ignore>().unwrap().remove_from(&mut body);
        body
    };
    assert_eq!(without("a.b:/at"), json!({"list": [{"id": 7}, 8], "a/b": {"~": 2}}));
    assert_eq!(without("a.b:/list/0/id"), json!({"at": 1, "list": [{}, 8], "a/b": {"~": 2}}));
    assert_eq!(without("a.b:/list/1"), json!({"at": 1, "list": [{"id": 7}, null], "a/b": {"~": 2}}));
    assert_eq!(without("a.b:/a~1b/~0"), json!({"at": 1, "list": [{"id": 7}, 8], "a/b": {}}));
    assert_eq!(without("a.b:/nothing/there"), body);
    assert_eq!(without("a.b:"), Value::Null);
}
