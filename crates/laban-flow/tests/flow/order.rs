use laban_flow::{Flow, Reactions};

use crate::history::{History, cancelled, dispatched};

fn names(flow: &Flow) -> Vec<String> {
    flow.steps.iter().map(|step| step.full_name()).collect()
}

#[test]
fn effects_come_after_their_causes_and_streams_keep_their_order() {
    let flow = cancelled("4711").flow(&Reactions::default());
    assert_eq!(
        names(&flow),
        [
            "order.placed",
            "inventory.reserved",
            "payment._retrying",
            "payment.declined",
            "inventory.released",
            "order.cancelled",
            "shipping._handled",
        ]
    );
    assert_eq!(flow.causes(), [None, Some(0), Some(0), Some(0), Some(3), Some(3), Some(1)]);
}

#[test]
fn clocks_decide_nothing() {
    let history = dispatched("4711");
    let expected = names(&history.flow(&Reactions::default()));
    let mut skewed = history;
    for message in &mut skewed.messages {
        if &*message.stream == "PAYMENT" {
            message.at += time::Duration::hours(9);
        }
    }
    skewed.messages.reverse();
    assert_eq!(names(&skewed.flow(&Reactions::default())), expected);
}

#[test]
fn a_late_shallow_record_stays_behind_what_its_stream_held_before() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let captured = history.reaction("payment.captured", placed, "order.placed", "charge");
    let dispatched = history.reaction("shipping.dispatched", captured, "payment.captured", "dispatch");
    history.reaction("shipping._handled", placed, "order.placed", "prepare");
    history.reaction("order.completed", dispatched, "shipping.dispatched", "close");
    let flow = history.flow(&Reactions::default());
    assert_eq!(
        names(&flow),
        ["order.placed", "payment.captured", "shipping.dispatched", "shipping._handled", "order.completed"]
    );
}

#[test]
fn forged_causes_hide_nothing_and_end() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let itself = laban_wire::EventId::derived(placed, "payment", "charge", 0);
    history.reaction("payment.captured", placed, "order.placed", "charge");
    history.messages.remove(0);
    // payment.captured's id is derived from `placed`; now make `order.placed` an effect of it.
    let meta = format!("id={placed} cause={itself} on=payment.captured handler=loop");
    history.store("order.placed", &[("Laban", &meta)], "{}");
    let flow = history.flow(&Reactions::default());
    assert_eq!(flow.steps.len(), 2);
    assert_eq!(flow.causes().iter().flatten().count(), 1, "the tree has a root");
    assert_eq!(flow.to_tree(Default::default()).matches("─ payment.captured").count(), 1);
}

#[test]
fn a_reaction_whose_records_share_an_id_is_the_cause_by_its_event() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    let captured = history.attempt("payment.captured", placed, "order.placed", "charge", 2, "{}");
    history.reaction("shipping.dispatched", captured, "payment.captured", "dispatch");
    let flow = history.flow(&Reactions::default());
    assert_eq!(flow.steps[1].id, flow.steps[2].id);
    assert_eq!(flow.causes(), [None, Some(0), Some(0), Some(2)]);
    assert!(flow.steps.iter().all(|step| !step.duplicate));
}

#[test]
fn an_event_stored_twice_counts_once_and_is_shown_twice() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let again = history.messages[0].headers.get("Laban").unwrap().to_string();
    history.store("order.placed", &[("Laban", &again)], "{}");
    history.reaction("payment.captured", placed, "order.placed", "charge");
    let flow = history.flow(&Reactions::default());
    let steps: Vec<_> = flow.steps.iter().map(|step| (step.seq, step.duplicate)).collect();
    assert_eq!(steps, [(1, false), (2, true), (1, false)]);
    assert_eq!(flow.causes(), [None, None, Some(0)]);
    let reactions = Reactions::from_iter([crate::history::declared("shop", "x", "order.placed", &[])]);
    assert_eq!(history.flow(&reactions).awaited.len(), 1);
}
