//! Messages of other origin, and messages that are none.

use laban_flow::{Flow, Reactions, State};
use laban_wire::{EventId, HEADER};

use crate::history::{History, declared};

#[test]
fn nothing_found_is_no_flow() {
    assert_eq!(Flow::from_messages(&"4711".parse().unwrap(), [], &Reactions::default()), None);
}

#[test]
fn a_body_alone_is_an_event() {
    let mut history = History::new("4711");
    history.store("order.placed", &[], "{}");
    let placed = EventId::of_stored("ORDER", 1);
    history.reaction("payment.captured", placed, "order.placed", "charge");
    let flow = history.flow(&Reactions::from_iter([declared("payment", "charge", "order.placed", &[])]));
    assert_eq!((flow.state, flow.steps[0].id), (State::Completed, placed));
    assert_eq!((flow.steps[0].version, flow.steps[0].trace_id.as_deref()), (None, None));
    assert_eq!(flow.causes(), [None, Some(0)]);
}

#[test]
fn what_cannot_be_read_is_kept_with_the_reason_and_its_dead_letter() {
    let mut history = History::new("4711");
    history.root("order.placed");
    history.store("order.placed", &[(HEADER, "id=4711")], "{}");
    history.store("order.Placed", &[], "{}");
    history.dead("payment", EventId::of_stored("ORDER", 2), "order.placed", "charge", 0);
    let flow = history.flow(&Reactions::default());
    assert_eq!(flow.state, State::Dead);
    let unreadable: Vec<_> = flow.unreadable.iter().map(|m| (m.stream.as_str(), m.seq)).collect();
    assert_eq!(unreadable, [("ORDER", 2), ("ORDER", 3)]);
    assert!(flow.unreadable[0].reason.contains("field `id`"), "{}", flow.unreadable[0].reason);
    assert!(flow.unreadable[1].reason.contains("order.Placed"), "{}", flow.unreadable[1].reason);
    let tree = flow.to_tree(Default::default());
    let letter = tree.lines().position(|line| line.starts_with("└─ payment._dead")).expect("it is drawn");
    assert!(tree.lines().nth(letter - 1).unwrap().contains("unreadable, ORDER 2: header `Laban`"), "{tree}");
}

#[test]
fn a_flow_of_nothing_readable_is_still_shown() {
    let mut history = History::new("4711");
    history.store("order.placed", &[(HEADER, "no")], "{}");
    let flow = history.flow(&Reactions::default());
    assert_eq!((flow.steps.len(), flow.unreadable.len()), (0, 1));
    assert_eq!(flow.started_at, flow.unreadable[0].at);
}

#[test]
fn a_system_record_of_a_later_release_is_still_a_step() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.attempt("payment._dead", placed, "order.placed", "charge", 1, r#"{"reason":"bored"}"#);
    history.attempt("payment._paused", placed, "order.placed", "charge", 1, "{}");
    let flow = history.flow(&Reactions::default());
    assert!(flow.steps[1].error.as_deref().unwrap().contains("cannot be read"), "{:?}", flow.steps[1]);
    assert_eq!(flow.steps[2].event, "_paused");
}
