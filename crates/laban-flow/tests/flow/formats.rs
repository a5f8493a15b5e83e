//! A flow in its other forms.

use std::collections::{HashMap, HashSet};

use laban_flow::{Flow, Reactions, TreeStyle};
use laban_testkit::Jaeger;
use laban_wire::EventId;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::history::{History, cancelled, declared, dispatched, shop};
use crate::live::Outcome;
use crate::tree::{ASCII, PLAIN, assert_golden};

fn reactions() -> Reactions {
    shop().into_iter().collect()
}

/// Text that would be something else in each of the forms.
const EVIL: &str = "</pre><script>alert(1)</script>; #quot; %%{x}%% \u{1b}[2J \u{202e}\nx->>y: z";

fn troubled() -> Flow {
    let mut history = History::new(EVIL);
    let placed = history.root("order.placed");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    history.messages.last_mut().unwrap().payload = serde_json::json!({
        "attempt": 1, "error": EVIL, "next_at": "2026-10-26T07:33:21.5Z"
    })
    .to_string()
    .into();
    history.pause(3_600_000);
    history.dead("payment", placed, "order.placed", "charge", 2);
    let elsewhere = "0199f3c2-0000-7000-8000-00000000ffff".parse().unwrap();
    history.reaction("shipping._handled", elsewhere, "customer.moved", "redirect");
    history.store("order.placed", &[("Laban", "id=?")], "{}");
    let flow = history.flow(&reactions());
    flow.judged_at(history.messages[0].at + time::Duration::hours(2), laban_flow::OVERDUE)
}

#[test]
fn a_timeline() {
    let flow = cancelled("4711").flow(&reactions());
    assert_golden("timeline", &flow.to_timeline(PLAIN, 100));
    assert_golden("timeline-ascii", &flow.to_timeline(ASCII, 80));
    let troubled = troubled();
    assert_golden("timeline-wrong", &troubled.to_timeline(ASCII, 100));
    let lines = |style| troubled.to_timeline(style, 120);
    assert!(lines(ASCII).is_ascii() && !lines(PLAIN).contains(['\x1b', '\u{202e}']));
    let of_bars = lines(PLAIN).lines().skip(2).take(4).map(|line| line.chars().count()).max();
    assert!(of_bars <= Some(120), "{of_bars:?}");
}

#[test]
fn an_effect_is_never_drawn_before_its_cause_whatever_clocks_say() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let captured = history.reaction("payment.captured", placed, "order.placed", "charge");
    history.reaction("shipping.dispatched", captured, "payment.captured", "dispatch");
    // The clock of the stream's leader is a minute behind.
    history.messages[1].at -= time::Duration::minutes(1);
    let flow = history.flow(&reactions());
    let timeline = flow.timeline();
    for (index, cause) in flow.causes().into_iter().enumerate() {
        if let Some(cause) = cause {
            let (bar, cause) = (timeline.bars[index], timeline.bars[cause]);
            assert!(
                bar.waiting_ms >= cause.stored_ms && bar.running_ms >= bar.waiting_ms,
                "{bar:?} {cause:?}"
            );
            assert!(bar.stored_ms >= bar.ended_ms && bar.ended_ms >= bar.running_ms, "{bar:?}");
        }
    }
}

#[test]
fn several_records_of_one_run_share_a_bar() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.reaction("payment.captured", placed, "order.placed", "charge");
    history.reaction("payment.booked", placed, "order.placed", "charge");
    let timeline = history.flow(&Reactions::default()).timeline();
    assert_eq!(timeline.bars.iter().map(|bar| bar.shown_above).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_sequence_diagram() {
    assert_golden("mermaid", &cancelled("4711").flow(&reactions()).to_mermaid());
    let diagram = troubled().to_mermaid();
    assert_golden("mermaid-wrong", &diagram);
    assert!(diagram.lines().skip(1).all(|line| line.starts_with("    ")), "{diagram}");
    for free in ["<script", "%%{", "\n    x->>y"] {
        assert!(!diagram.contains(free), "{free:?} in {diagram}");
    }
}

#[test]
fn a_page_of_html_needs_nothing_and_runs_nothing() {
    let flow = troubled();
    let page = flow.to_html();
    assert_eq!(
        page.matches("<script").count() + page.matches("http:").count() + page.matches("https:").count(),
        0
    );
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(!page.contains(['\x1b', '\u{202e}']));
    for expected in [
        "class=\"state dead\"",
        "payment charge gave up",
        "inventory reserve, on order.placed: overdue since",
        "unreadable",
    ] {
        assert!(page.contains(expected), "{expected:?} in {page}");
    }
    // The JSON in it can be read back.
    let json = page.split_once("<pre>").unwrap().1.split_once("</pre>").unwrap().0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let json = entities.iter().fold(json.to_owned(), |text, (entity, c)| text.replace(entity, c));
    assert_eq!(serde_json::from_str::<Flow>(&json).unwrap(), flow);
    if let Some(path) = std::env::var_os("LABAN_TEST_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}

/// Every span of an export request.
fn spans(request: &Value) -> Vec<&Value> {
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default().len();
    assert!(list(&request["resourceSpans"]) > 0);
    let resources = request["resourceSpans"].as_array().unwrap().iter();
    resources.flat_map(|one| one["scopeSpans"][0]["spans"].as_array().unwrap()).collect()
}

#[test]
fn otlp_spans_are_those_of_the_services() {
    let flow = cancelled("4711").flow(&reactions());
    let request = flow.to_otlp();
    let spans = spans(&request);
    let ids: HashMap<&str, &str> =
        spans.iter().map(|s| (s["spanId"].as_str().unwrap(), s["name"].as_str().unwrap())).collect();
    // A process span a run, a send span an event.
    let events = flow.steps.iter().filter(|step| !step.is_system()).count();
    assert_eq!((spans.len(), ids.len()), (flow.steps.len() - 1 + events, spans.len()), "all ids differ");
    for span in &spans {
        let name = span["name"].as_str().unwrap();
        let parent = span["parentSpanId"].as_str().map(|parent| ids[parent]);
        match name.split_once(' ').unwrap() {
            ("send", "order.placed.{flow}") => assert_eq!(parent, None),
            ("send", _) => assert!(parent.unwrap().starts_with("process "), "{name} below {parent:?}"),
            (_, event) => assert_eq!(parent, Some(format!("send {event}").as_str())),
        }
        let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
        assert_eq!(
            (span["traceId"].as_str().unwrap().len(), span["spanId"].as_str().unwrap().len()),
            (32, 16)
        );
    }
    let traces: HashSet<_> = spans.iter().map(|span| span["traceId"].as_str().unwrap()).collect();
    assert_eq!(Vec::from_iter(traces), flow.traces());
}

#[test]
fn a_cause_in_another_trace_is_linked_to() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let late = EventId::derived(placed, "order", "give_up", 0);
    history.reaction("order.overdue", placed, "order.placed", "give_up");
    let other = "00-0000000000000000000000000000beef-00000000000000aa-01";
    history.messages[1].headers.insert("traceparent", other);
    history.reaction("payment.voided", late, "order.overdue", "void");
    history.messages[2].headers = history.messages[2]
        .headers
        .iter()
        .filter(|(n, _)| n.to_string() == "Laban")
        .map(|(n, v)| (n.clone(), v[0].clone()))
        .collect();
    let request = history.flow(&Reactions::default()).to_otlp();
    let process =
        |name: &str| spans(&request).into_iter().find(|s| s["name"].as_str() == Some(name)).unwrap().clone();
    let late = process("process order.placed.{flow}");
    assert_eq!(
        (&late["parentSpanId"], &late["traceId"]),
        (&Value::Null, &"0000000000000000000000000000beef".into())
    );
    assert_eq!(late["links"][0]["spanId"], "0000000000000001");
    let untraced = process("process order.overdue.{flow}");
    assert!(
        untraced["traceId"]
            .as_str()
            .is_some_and(|id| id.len() == 32 && id != "0000000000000000000000000000beef")
    );
    assert_eq!(untraced["links"][0]["spanId"], "00000000000000aa");
}

/// Jaeger's OTLP receiver over HTTP takes it, and its own answer has every span.
#[tokio::test]
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn otlp_is_taken_by_a_real_receiver() -> Outcome {
    let required = std::env::var_os("LABAN_REQUIRE_JAEGER").is_some();
    let jaeger = match Jaeger::start().await {
        Err(laban_testkit::Error::NoTool { .. }) if !required => {
            eprintln!("skipped: there is no Jaeger; `make jaeger` gets one");
            return Ok(());
        }
        started => started?,
    };
    let flows = [cancelled("4711").flow(&reactions()), dispatched("47 11").flow(&reactions()), troubled()];
    for (place, mut flow) in flows.into_iter().enumerate() {
        // By hand all of them are of one trace.
        flow.steps.iter_mut().for_each(|step| step.trace_id = Some(format!("{:032x}", 0xface + place)));
        let mut request = flow.to_otlp();
        add_a_span_inside(&mut request);
        let (status, answer) =
            http(&jaeger.otlp_http_url(), "POST", "/v1/traces", &request.to_string()).await?;
        assert_eq!(status, 200, "{answer}");
        assert!(!answer.contains("rejectedSpans"), "{answer}");
        let trace = flow.traces()[0];
        let sent = spans(&request).into_iter().filter(|span| span["traceId"] == trace).count();
        let found =
            laban_testkit::wait::until_some("Jaeger to have the trace", crate::read::SOON, async || {
                let found = http(&jaeger.ui_url(), "GET", &format!("/api/traces/{trace}"), "").await;
                let Ok((200, text)) = found else { return None };
                let body: Value = serde_json::from_str(&text).unwrap_or_default();
                let spans = body["data"][0]["spans"].as_array();
                spans.is_some_and(|spans| spans.len() >= sent).then_some(text)
            });
        let (answer, _) = found.await?;
        // The other way round: what Jaeger says of the trace is put into the flow.
        let mut joined = flow.clone();
        assert_eq!(joined.put_inside(answer.as_bytes())?, 1);
        let spans: Vec<_> = joined.steps.iter().flat_map(|step| &step.inside).collect();
        assert_eq!((spans[0].name.as_str(), spans[0].took_ms), ("SELECT", 1.0));
        assert_eq!(laban_flow::flow_of_trace(answer.as_bytes())?.map(|id| id.key()), Some(flow.flow));
    }
    Ok(())
}

/// A span of a handler's own below the first run.
fn add_a_span_inside(request: &mut Value) {
    for of_service in request["resourceSpans"].as_array_mut().unwrap() {
        let spans = of_service["scopeSpans"][0]["spans"].as_array_mut().unwrap();
        let Some(run) = spans.iter().find(|span| span["kind"] == 5 && span["parentSpanId"].is_string())
        else {
            continue;
        };
        let began: u64 = run["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
        let own = serde_json::json!({
            "traceId": run["traceId"], "spanId": "00000000000000ee", "parentSpanId": run["spanId"], "name": "SELECT",
            "startTimeUnixNano": (began + 1_000_000).to_string(), "endTimeUnixNano": (began + 2_000_000).to_string(),
        });
        spans.push(own);
        return;
    }
}

/// A request, and its answer.
async fn http(url: &str, method: &str, path: &str, body: &str) -> Outcome<(u16, String)> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

#[test]
fn every_form_of_a_flow_with_nothing_but_what_is_unreadable() {
    let mut history = History::new("4711");
    history.store("order.placed", &[("Laban", "id=?")], "{}");
    let flow = history.flow(&[declared("payment", "charge", "order.placed", &[])].into_iter().collect());
    assert!(flow.to_timeline(TreeStyle::default(), 0).contains("flow 4711"));
    assert!(flow.to_mermaid().contains("unreadable"));
    assert_eq!(flow.to_otlp()["resourceSpans"].as_array().map(Vec::len), Some(0));
    assert!(flow.to_html().contains("unreadable"));
}
