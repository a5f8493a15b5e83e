//! What is to be done again, by what the streams hold: without a broker.

use laban_wire::contract::{Contract, DeadlineContract, HandlerContract};
use laban_wire::shadow::{Outcome, Ran};
use laban_wire::{EventId, HEADER, Meta, Millis, Reaction as Reacted, Stored};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::case::cases;
use super::past::Past;
use super::{Case, Chosen, FlowResult, Reaction, Report, Scope, Verdict};
use crate::replay::Selection;
use crate::{Deadline, Declared, Mesh, Since};

const FLOW: &str = "4711";

/// The messages of one flow, as they are stored: the broker's clock ticks a second for each.
#[derive(Default)]
struct History {
    own: Vec<Stored>,
    others: Vec<Stored>,
}

impl History {
    fn event(&mut self, name: &str, meta: &Meta, body: &Value) -> EventId {
        let seq = (self.own.len() + self.others.len()) as u64 + 1;
        let stored = Stored {
            stream: name.split('.').next().unwrap().to_uppercase().into(),
            seq,
            at: at(seq),
            subject: format!("{name}.{FLOW}"),
            headers: [(HEADER.parse().unwrap(), meta.to_header().parse().unwrap())].into_iter().collect(),
            malformed: None,
            payload: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }.into(),
        };
        if name.starts_with("payment.") {
            self.own.push(stored)
        } else {
            self.others.push(stored)
        }
        meta.id
    }

    fn root(&mut self, name: &str) -> EventId {
        self.event(name, &Meta::root(EventId::root(), 1), &json!({"id": FLOW}))
    }

    /// Output number `index` of `handler` of payment.
    fn output(&mut self, name: &str, on: &str, cause: EventId, handler: &str, index: usize) -> EventId {
        let id = EventId::derived(cause, "payment", handler, index);
        self.event(name, &meta(id, on, cause, handler), &json!({"id": FLOW, "index": index}))
    }

    fn record(&mut self, name: &str, on: &str, cause: EventId, handler: &str, body: &Value) -> EventId {
        self.event(name, &meta(EventId::root(), on, cause, handler), body)
    }

    fn cases(&self, mesh: &Mesh, contract: &Contract, chosen: &Chosen) -> Vec<Case> {
        let mut scope = Scope::of(mesh, contract, chosen).unwrap();
        scope.now = at(100);
        let past = Past::of("payment", self.own.clone(), self.others.clone());
        cases(&scope, &FLOW.parse().unwrap(), &past)
    }
}

fn at(second: u64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(second as i64)
}

fn meta(id: EventId, on: &str, cause: EventId, handler: &str) -> Meta {
    let reaction = Reacted {
        cause,
        on: on.parse().unwrap(),
        handler: handler.into(),
        attempt: 1,
        queue_ms: Millis::default(),
        handle_ms: "2.5".parse().unwrap(),
    };
    Meta { id, version: Some(1), reaction: Some(reaction) }
}

fn handler(name: &str, on: &[&str]) -> HandlerContract {
    let consumes: Vec<_> = on.iter().map(|on| json!(on)).collect();
    serde_json::from_value(json!({ "name": name, "consumes": consumes })).unwrap()
}

fn contract(handlers: Vec<HandlerContract>) -> Contract {
    let service = "payment".parse().unwrap();
    Contract { service, laban: String::new(), handlers, begins: Vec::new(), events: Vec::new() }
}

fn declared(handler: &str, on: &str) -> Declared {
    Declared {
        service: "payment".into(),
        handler: handler.into(),
        on: on.parse().unwrap(),
        compensates: Vec::new(),
        emits: Vec::new(),
        since: Since::Ever,
        deadline: None,
        at_least_once: false,
    }
}

fn mesh(declared: Vec<Declared>) -> Mesh {
    let home = |service: &str| crate::Home { service: service.into(), stream: service.to_uppercase() };
    let homes = ["inventory", "order", "payment"].map(home).into();
    Mesh { homes, reactions: declared.into_iter().collect(), ..Mesh::default() }
}

/// Each case in a word, with the handler.
fn told(cases: &[Case]) -> Vec<String> {
    let told = |case: &Case| match case {
        Case::Run(reaction) => {
            let is_new = if reaction.then.is_some() { "again" } else { "new" };
            format!("{} {is_new}", reaction.about.handler)
        }
        Case::Missing(about, _) => format!("{} missing", about.handler),
        Case::Open(about) => format!("{} open", about.handler),
        Case::Untold(about, _) => format!("{} untold", about.handler),
    };
    cases.iter().map(told).collect()
}

fn run(case: &Case) -> &Reaction {
    match case {
        Case::Run(reaction) => reaction,
        other => panic!("{other:?}"),
    }
}

fn emitted(reaction: &Reaction) -> Vec<String> {
    match &reaction.then.as_ref().unwrap().outcome {
        Outcome::Emitted(events) => events.iter().map(|event| event.event.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_recorded_is_run_again_on_the_state_of_then() {
    let mut history = History::default();
    let placed = history.root("order.placed");
    let rejected = history.root("inventory.rejected");
    history.output("payment.captured", "order.placed", placed, "charge", 0);
    let before = [("payment._retrying", json!({})), ("payment._handled", Value::Null)];
    for (record, body) in &before {
        history.record(record, "inventory.rejected", rejected, "refund", body);
    }
    let mut refund = handler("refund", &["inventory.rejected"]);
    refund.reads_flow = true;
    let contract = contract(vec![handler("charge", &["order.placed"]), refund]);
    let mesh = mesh(vec![declared("charge", "order.placed"), declared("refund", "inventory.rejected")]);
    let cases = history.cases(&mesh, &contract, &Chosen::default());
    assert_eq!(told(&cases), ["charge again", "refund again"]);
    let (charge, refund) = (run(&cases[0]), run(&cases[1]));
    assert_eq!(emitted(charge), ["payment.captured"]);
    assert_eq!(emitted(refund), Vec::<String>::new());
    assert_eq!(charge.then.as_ref().unwrap().handle_ms.as_f64(), 2.5);
    // Only what is state, and only for a handler that reads it.
    assert_eq!((charge.call(0).records.len(), refund.call(0).records.len()), (0, 1));
    assert_eq!(refund.call(0).records[0].subject, "payment.captured.4711");
}

#[test]
fn the_last_outcome_counts() {
    let mut history = History::default();
    let placed = history.root("order.placed");
    let letter = json!({
        "reason": "rejected", "error": "no", "attempts": 1, "fingerprint": "f",
        "input": {"stream": "ORDER", "seq": 1, "subject": "order.placed.4711"}
    });
    history.record("payment._dead", "order.placed", placed, "charge", &letter);
    let contract = contract(vec![handler("charge", &["order.placed"])]);
    let mesh = mesh(vec![declared("charge", "order.placed")]);
    let dead = history.cases(&mesh, &contract, &Chosen::default());
    assert!(matches!(run(&dead[0]).then.as_ref().unwrap().outcome, Outcome::Dead { .. }), "{dead:?}");
    // Handed back with another body, by the first of two; what was decided besides is no outcome.
    let redrive = |body: &str| json!({"dead_seq": 2, "payload": {"json": {"id": FLOW, "body": body}}});
    for body in [redrive("mended"), redrive("too late")] {
        history.record("payment._redrive", "order.placed", placed, "charge", &body);
    }
    history.record("payment._discarded", "order.placed", placed, "charge", &json!({"dead_seq": 2}));
    let dead = history.cases(&mesh, &contract, &Chosen::default());
    assert!(matches!(run(&dead[0]).then.as_ref().unwrap().outcome, Outcome::Dead { .. }), "{dead:?}");
    history.output("payment.captured", "order.placed", placed, "charge", 0);
    history.output("payment.noted", "order.placed", placed, "charge", 1);
    let redriven = history.cases(&mesh, &contract, &Chosen::default());
    assert_eq!(emitted(run(&redriven[0])), ["payment.captured", "payment.noted"]);
    let input = run(&redriven[0]).call(0).input.payload.to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&input).unwrap(), json!({"id": FLOW, "body": "mended"}));
    // Done again on purpose, by whatever means: an outcome of its own.
    history.root("inventory.noted");
    history.output("payment.captured", "order.placed", placed, "charge", 0);
    let again = history.cases(&mesh, &contract, &Chosen::default());
    assert_eq!(emitted(run(&again[0])), ["payment.captured"]);
}

#[test]
fn what_a_build_does_not_do_any_more_is_missing() {
    let mut history = History::default();
    let placed = history.root("order.placed");
    history.output("payment.captured", "order.placed", placed, "charge", 0);
    let mesh = mesh(vec![declared("charge", "order.placed")]);
    for handlers in [vec![], vec![handler("charge", &["order.paid"])]] {
        let cases = history.cases(&mesh, &contract(handlers), &Chosen::default());
        assert_eq!(told(&cases), ["charge missing"]);
    }
}

#[test]
fn what_nobody_reacted_to_is_new_unless_somebody_may_yet() {
    let mut history = History::default();
    history.root("order.placed");
    let of = |declared: Vec<Declared>, handler: HandlerContract| {
        told(&history.cases(&mesh(declared), &contract(vec![handler]), &Chosen::default()))
    };
    let charge = || handler("charge", &["order.placed"]);
    assert_eq!(of(vec![], charge()), ["charge new"]);
    assert_eq!(of(vec![declared("charge", "order.placed")], charge()), ["charge open"]);
    // One that begins with what comes, then or now, leaves this event alone.
    let late = Declared { since: Since::Time(at(50)), ..declared("charge", "order.placed") };
    assert_eq!(of(vec![late], charge()), Vec::<String>::new());
    let skips = HandlerContract { skips_history: true, ..charge() };
    assert_eq!(of(vec![], skips), Vec::<String>::new());
}

#[test]
fn a_handler_without_a_fence_is_compared_with_the_silence_it_leaves() {
    let mut history = History::default();
    history.root("order.placed");
    let one = Declared { at_least_once: true, ..declared("charge", "order.placed") };
    let contract = contract(vec![handler("charge", &["order.placed"])]);
    let cases = history.cases(&mesh(vec![one]), &contract, &Chosen::default());
    let told = |events: &[&str]| {
        let event = |name: &&str| laban_wire::shadow::Emitted {
            event: name.parse().unwrap(),
            version: Some(1),
            flow: FLOW.to_owned(),
            payload: laban_wire::Payload::of(b"{}"),
        };
        let outcome = Outcome::Emitted(events.iter().map(event).collect());
        let mut result = FlowResult::default();
        result.ran(run(&cases[0]), &Ran::To { outcome, handle_ms: Millis::default() });
        let mut report = Report::new("payment", &[], [], 10);
        report.add(result);
        (report.reactions, report.untold.len(), report.identical)
    };
    assert_eq!(told(&[]), (1, 0, true));
    assert_eq!(told(&["payment.captured"]), (0, 1, true), "its outputs may be in other flows");
}

/// `give_up` on `order.placed`, unless payment is captured within so many seconds.
fn give_up(seconds: u64) -> (HandlerContract, Declared) {
    let unless = vec!["payment.captured".parse().unwrap(), "payment.declined".parse().unwrap()];
    let mut of = handler("give_up", &["order.placed"]);
    of.deadline = Some(DeadlineContract { unless: unless.clone(), within_ms: seconds * 1_000 });
    let deadline = Some(Deadline { unless, within: std::time::Duration::from_secs(seconds) });
    (of, Declared { deadline, ..declared("give_up", "order.placed") })
}

#[test]
fn a_deadline_that_is_as_it_was_is_taken_as_it_went() {
    let (handler, declared) = give_up(3);
    let (contract, mesh) = (contract(vec![handler]), mesh(vec![declared]));
    let mut history = History::default();
    let placed = history.root("order.placed");
    assert_eq!(told(&history.cases(&mesh, &contract, &Chosen::default())), ["give_up open"]);
    // However late it came: when the timer was looked at, it was there.
    for _ in 0..8 {
        history.root("inventory.noted");
    }
    history.root("payment.captured");
    assert_eq!(told(&history.cases(&mesh, &contract, &Chosen::default())), Vec::<String>::new());
    history.output("payment.overdue", "order.placed", placed, "give_up", 0);
    assert_eq!(told(&history.cases(&mesh, &contract, &Chosen::default())), ["give_up again"]);
}

#[test]
fn a_deadline_that_is_another_is_judged_by_the_brokers_clock() {
    let (_, before) = give_up(5);
    let of = |history: &History, seconds: u64| {
        let contract = contract(vec![give_up(seconds).0]);
        told(&history.cases(&mesh(vec![before.clone()]), &contract, &Chosen::default()))
    };
    // Answered after three seconds.
    let mut answered = History::default();
    answered.root("order.placed");
    answered.root("inventory.noted");
    answered.root("inventory.noted");
    answered.root("payment.captured");
    assert_eq!(of(&answered, 2), ["give_up new"]);
    assert_eq!(of(&answered, 3), Vec::<String>::new());
    // Given up after five, and answered after seven.
    let mut overdue = History::default();
    let placed = overdue.root("order.placed");
    for _ in 0..4 {
        overdue.root("inventory.noted");
    }
    let given_up = overdue.output("payment.overdue", "order.placed", placed, "give_up", 0);
    // What came of giving up would not have come.
    overdue.output("payment.declined", "payment.overdue", given_up, "void", 0);
    assert_eq!(of(&overdue, 20), ["give_up again", "void missing"]);
    overdue.root("payment.captured");
    assert_eq!(of(&overdue, 20), ["give_up missing", "void missing"]);
    assert_eq!(of(&overdue, 6), ["give_up again", "void missing"]);
    // Nobody knows yet.
    let mut waiting = History::default();
    waiting.root("order.placed");
    assert_eq!(of(&waiting, 200), ["give_up open"]);
}

#[test]
fn an_input_that_is_gone_is_run_again_where_the_record_kept_it() {
    let mut history = History::default();
    let gone = EventId::root();
    let input = json!({"event": "order.placed", "version": 1, "payload": {"json": {"id": FLOW}}});
    history.record("payment._handled", "order.placed", gone, "charge", &json!({ "input": input }));
    history.record("payment._handled", "order.placed", EventId::root(), "charge", &Value::Null);
    let contract = contract(vec![handler("charge", &["order.placed"])]);
    let mesh = mesh(vec![declared("charge", "order.placed")]);
    let cases = history.cases(&mesh, &contract, &Chosen::default());
    assert_eq!(told(&cases), ["charge again", "charge untold"]);
    let message = run(&cases[0]).call(0).input.into_message().unwrap();
    assert_eq!((message.meta.id, message.meta.version), (gone, Some(1)));
    assert_eq!(&message.payload[..], br#"{"id":"4711"}"#);
}

#[test]
fn only_what_is_chosen_is_run() {
    let mut history = History::default();
    let first = history.root("order.placed");
    let second = history.root("order.paid");
    history.output("payment.captured", "order.placed", first, "charge", 0);
    history.output("payment.noted", "order.paid", second, "note", 0);
    let contract = contract(vec![handler("charge", &["order.placed", "order.paid"])]);
    let mesh = mesh(vec![declared("charge", "order.placed")]);
    let of = |chosen: Chosen| told(&history.cases(&mesh, &contract, &chosen));
    let to = |inputs: Selection| of(Chosen { inputs, ..Chosen::default() });
    assert_eq!(of(Chosen::default()), ["charge again", "charge new", "note missing"]);
    assert_eq!(of(Chosen { handlers: vec!["note".into()], ..Chosen::default() }), ["note missing"]);
    let events = vec!["order.placed".parse().unwrap()];
    assert_eq!(to(Selection { events, ..Selection::default() }), ["charge again"]);
    let late = ["charge new", "note missing"];
    assert_eq!(to(Selection { since: Some(at(2)), ..Selection::default() }), late);
    assert_eq!(to(Selection { until: Some(at(2)), ..Selection::default() }), ["charge again"]);
    assert_eq!(to(Selection { from_seq: Some(2), to_seq: Some(2), ..Selection::default() }), late);
    let other = Selection { streams: vec!["INVENTORY".into()], ..Selection::default() };
    assert_eq!(to(other), Vec::<String>::new());
}

#[test]
fn sequences_of_several_streams_mean_nothing() {
    let contract = contract(vec![handler("charge", &["order.placed", "inventory.rejected"])]);
    let mesh = mesh(vec![]);
    let refused = |streams: &[&str]| {
        let streams = streams.iter().map(|name| (*name).to_owned()).collect();
        let inputs = Selection { from_seq: Some(2), streams, ..Selection::default() };
        let scope = Scope::of(&mesh, &contract, &Chosen { inputs, ..Chosen::default() }).err();
        scope.map(|error| error.to_string())
    };
    assert!(refused(&[]).unwrap().contains("inputs are in INVENTORY, ORDER"), "{:?}", refused(&[]));
    assert_eq!(refused(&["ORDER"]), None);
}

#[test]
fn a_report_counts_what_it_does_not_tell() {
    let mut history = History::default();
    let placed = history.root("order.placed");
    history.output("payment.captured", "order.placed", placed, "charge", 0);
    let contract = contract(vec![handler("charge", &["order.placed"])]);
    let cases = history.cases(&mesh(vec![declared("charge", "order.placed")]), &contract, &Chosen::default());
    let mut report = Report::new("payment", &["build".to_owned()], ["charge"], 1);
    for (events, is_other) in [(true, false), (false, true), (false, true)] {
        let outcome = match &run(&cases[0]).then.as_ref().unwrap().outcome {
            same if events => same.clone(),
            _ => Outcome::Emitted(Vec::new()),
        };
        let mut result = FlowResult::default();
        result.ran(run(&cases[0]), &Ran::To { outcome, handle_ms: "1".parse().unwrap() });
        assert_eq!(report.add(result), is_other);
    }
    report.finish();
    assert_eq!((report.reactions, report.flows, report.identical), (3, 3, false));
    assert_eq!((report.changed_count, report.changed.len()), (2, 1));
    assert_eq!(report.changed[0].verdict, Verdict::Different);
    let charge = &report.handlers[0];
    assert_eq!((charge.identical, charge.different), (1, 2));
    assert_eq!((charge.then.unwrap().p50_ms, charge.now.unwrap().p99_ms), (2.5, 1.0));
    assert_eq!(report.summary(), "different: 2 of 3 reactions in 2 of 3 flows");
    let shown = report.to_text(false, true);
    assert!(shown.contains("/events/0  {\"body\"") && shown.contains(" -> (nothing)"), "{shown}");
    assert!(shown.contains("and 1 more"), "{shown}");
    assert!(report.to_html().contains("And 1 more"));
    // What was said in JSON can be read again.
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again.changed, report.changed);
}
