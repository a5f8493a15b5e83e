//! Flows for process mining.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::Path;
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

/// The version of pm4py that is installed.
const PM4PY: &str = "pm4py==2.7.23.11";

/// A Python with pm4py: the one that `LABAN_PM4PY` names, or one in a virtual environment, which is kept beside what the
/// tests build. Says why, when there is none.
fn python_with_pm4py() -> Result<OsString, String> {
    if let Some(python) = std::env::var_os("LABAN_PM4PY") {
        return Ok(python);
    }
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).output();
        let output = output.map_err(|error| format!("{} does not run here: {error}", program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        output.status.success().then_some(()).ok_or_else(|| format!("{} {args:?}: {last}", program.display()))
    };
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pm4py");
    let (python, whole) = (venv.join("bin/python"), venv.join(PM4PY));
    if !whole.exists() {
        run("python3".as_ref(), &["-m", "venv", "--clear", &venv.to_string_lossy()])?;
        run(&python, &["-m", "pip", "install", "--quiet", "--retries", "1", PM4PY])?;
        std::fs::write(whole, "").map_err(|error| error.to_string())?;
    }
    Ok(python.into_os_string())
}

/// A real process mining library opens it. Skipped where it cannot be had, unless `LABAN_REQUIRE_PM4PY=1`.
#[test]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn pm4py_opens_it() {
    let python = match python_with_pm4py() {
        Ok(python) => python,
        Err(reason) => {
            assert!(std::env::var_os("LABAN_REQUIRE_PM4PY").is_none_or(|value| value != "1"), "{reason}");
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let folder = std::env::temp_dir().join(format!("laban-ocel-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
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
