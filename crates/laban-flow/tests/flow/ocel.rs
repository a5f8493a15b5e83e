//! Flows for process mining.

use std::io::Cursor;
use std::process::Command;

use laban_flow::{Bodies, Flow, Ocel, Reactions};
use laban_wire::Message;
use serde_json::{Value, json};

use crate::history::{History, cancelled, dispatched, shop};

/// The log of these histories, as it is written.
fn log(histories: &mut [History]) -> String {
    let reactions: Reactions = shop().into_iter().collect();
    let mut log = Ocel::begin(Vec::new(), Cursor::new(Vec::new())).unwrap();
    for history in histories {
        for message in &mut history.messages {
            let body = json!({
                "order_id": history.flow.key(), "customer_id": 7, "total_cents": 1800, "nothing_id": null, "_id": "x"
            });
            if !message.subject.contains("._") {
                message.payload = body.to_string().into();
            }
        }
        let messages = history.messages.iter().cloned();
        let events = messages.filter_map(|stored| Message::try_from(stored).ok());
        let bodies: Bodies = events.map(|message| (message.meta.id, message.payload)).collect();
        let flow: Flow = history.flow(&reactions);
        log.add(&flow, &bodies).unwrap();
    }
    String::from_utf8(log.end().unwrap()).unwrap()
}

fn two() -> String {
    let mut other = cancelled("a \"b\" \u{1f980}");
    // Of the same streams.
    other.messages.iter_mut().for_each(|message| message.seq += 100);
    log(&mut [dispatched("4711"), other])
}

#[test]
fn events_and_the_objects_that_they_are_about() {
    let log: Value = serde_json::from_str(&two()).unwrap();
    let list = |key: &str| log[key].as_array().unwrap();
    assert_eq!(list("events").len(), dispatched("x").messages.len() + cancelled("y").messages.len());
    let captured = list("events").iter().find(|event| event["type"] == "payment.captured").unwrap();
    assert_eq!(
        (&captured["id"], &captured["time"]),
        (&json!("PAYMENT/1"), &json!("2026-10-26T07:33:20.002Z"))
    );
    let related: Vec<_> = captured["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["objectId"].as_str().unwrap(), r["qualifier"].as_str().unwrap()))
        .collect();
    assert_eq!(
        related,
        [
            ("flow:4711", "flow"),
            ("service:payment", "service"),
            ("customer:7", "customer_id"),
            ("order:4711", "order_id"),
        ]
    );
    let mut ids: Vec<_> = list("objects").iter().map(|object| object["id"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "each object once");
    let related = list("events").iter().flat_map(|event| event["relationships"].as_array().unwrap());
    assert!(related.into_iter().all(|one| ids.contains(&one["objectId"].as_str().unwrap())));
    let flow = list("objects").iter().find(|object| object["id"] == "flow:4711").unwrap();
    assert_eq!(flow["attributes"][0]["value"], "completed");
    assert_eq!(flow["relationships"].as_array().map(Vec::len), Some(2));
    for (types, instances) in [("eventTypes", "events"), ("objectTypes", "objects")] {
        let names: Vec<_> = list(types).iter().map(|one| &one["name"]).collect();
        assert!(list(instances).iter().all(|one| names.contains(&&one["type"])), "{types}");
    }
}

#[test]
fn a_log_of_nothing_is_a_log() {
    let log: Value = serde_json::from_str(&log(&mut [])).unwrap();
    assert_eq!(log, json!({"events": [], "objects": [], "eventTypes": [], "objectTypes": []}));
}

/// A real process mining library opens it. Skipped, unless `LABAN_PM4PY` names a Python that has pm4py or
/// `LABAN_REQUIRE_PM4PY=1` asks for one to be installed into a virtual environment, which takes minutes.
#[test]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn pm4py_opens_it() {
    let folder = std::env::temp_dir().join(format!("laban-ocel-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let required = std::env::var_os("LABAN_REQUIRE_PM4PY").is_some_and(|value| value == "1");
    let python = match std::env::var_os("LABAN_PM4PY") {
        Some(python) => python,
        None if required => {
            let run = |program: &std::path::Path, args: &[&str]| {
                let status = Command::new(program).args(args).status();
                assert!(status.is_ok_and(|status| status.success()), "{} {args:?}", program.display());
            };
            let venv = folder.join("venv");
            run("python3".as_ref(), &["-m", "venv", venv.to_str().unwrap()]);
            let python = venv.join("bin/python");
            run(&python, &["-m", "pip", "install", "--quiet", "pm4py"]);
            python.into_os_string()
        }
        None => {
            eprintln!(
                "skipped: LABAN_PM4PY names no Python with pm4py, LABAN_REQUIRE_PM4PY=1 does not ask for one"
            );
            return;
        }
    };
    let path = folder.join("flows.json");
    std::fs::write(&path, two()).unwrap();
    let script = "import sys, pm4py\n\
                  log = pm4py.read_ocel2_json(sys.argv[1])\n\
                  print(len(log.events), len(log.objects), sorted(pm4py.ocel_get_object_types(log)))\n\
                  print(sorted(pm4py.ocel_flattening(log, 'flow')['case:concept:name'].unique()))\n\
                  pm4py.discover_ocdfg(log)\n";
    let output = Command::new(python).args(["-c", script]).arg(&path).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "13 9 ['customer', 'flow', 'order', 'service']", "{said}");
    assert!(lines[1].contains("flow:4711") && lines[1].contains("\u{1f980}"), "{said}");
}
