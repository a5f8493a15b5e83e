use std::time::Duration;

use laban_flow::{Deadline, Declared, Reactions, Since, State};
use laban_wire::EventId;

use crate::history::{History, cancelled, declared, dispatched, give_up, shop};

fn reactions() -> Reactions {
    shop().into_iter().collect()
}

#[test]
fn completed_when_nothing_is_awaited() {
    let flow = dispatched("4711").flow(&reactions());
    assert_eq!((flow.state, flow.awaited.len()), (State::Completed, 0));
    let latest = flow.steps.iter().map(|step| step.at).max();
    assert_eq!((flow.started_at, flow.ended_at), (flow.steps[0].at, latest));
}

#[test]
fn running_names_every_reaction_that_is_missing() {
    let mut history = dispatched("4711");
    history.messages.retain(|message| &*message.stream != "PAYMENT" && &*message.stream != "SHIPPING");
    let flow = history.flow(&reactions());
    assert_eq!((flow.state, flow.ended_at), (State::Running, None));
    let placed = flow.steps[0].id;
    let reserved = EventId::derived(placed, "inventory", "reserve", 0);
    let awaited: Vec<_> =
        flow.awaited.iter().map(|a| (a.service.as_str(), a.handler.as_str(), a.cause)).collect();
    assert_eq!(awaited, [("payment", "charge", placed), ("shipping", "dispatch", reserved)]);
    assert_eq!(flow.awaited[1].event.as_str(), "inventory.reserved");
}

#[test]
fn a_failed_attempt_settles_nothing_and_tells_when_the_next_is_due() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.reaction("inventory._handled", placed, "order.placed", "reserve");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    let flow = history.flow(&reactions());
    assert_eq!((flow.state, flow.awaited.len()), (State::Running, 1));
    assert_eq!(flow.awaited[0].handler, "charge");
    assert_eq!(flow.awaited[0].next_at, flow.steps.iter().find_map(|step| step.next_at));
    assert!(flow.awaited[0].next_at.is_some());
}

#[test]
fn the_same_handler_of_another_service_settles_nothing() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.reaction("shop._handled", placed, "order.placed", "charge");
    let reactions = Reactions::from_iter([declared("payment", "charge", "order.placed", &[])]);
    assert_eq!(history.flow(&reactions).state, State::Running);
}

#[test]
fn compensated_when_a_compensation_has_emitted_an_event() {
    let flow = cancelled("4711").flow(&reactions());
    assert_eq!((flow.state, flow.awaited.as_slice()), (State::Compensated, &[][..]));

    // A compensation with nothing to undo leaves `_handled`.
    let mut history = cancelled("4711");
    let released = history.messages.iter_mut().find(|m| m.subject.starts_with("inventory.released"));
    released.unwrap().subject = "inventory._handled.4711".to_owned();
    assert_eq!(history.flow(&reactions()).state, State::Completed);

    // While something is awaited the flow runs.
    history = cancelled("4711");
    history.messages.retain(|m| !m.subject.starts_with("order.cancelled"));
    assert_eq!(history.flow(&reactions()).state, State::Running);
}

#[test]
fn dead_until_the_work_is_done_after_all() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    history.dead("payment", placed, "order.placed", "charge", 2);
    let flow = history.flow(&reactions());
    assert_eq!((flow.state, flow.ended_at), (State::Dead, None), "inventory is still awaited");
    assert_eq!(flow.awaited.len(), 1);
    let letter = flow.dead_letters().next().unwrap();
    assert_eq!(letter.error.as_deref(), Some("connection refused"));
    assert_eq!(letter.reason, Some(laban_wire::DeadReason::Exhausted));

    history.reaction("inventory._handled", placed, "order.placed", "reserve");
    let flow = history.flow(&reactions());
    assert_eq!(flow.state, State::Dead, "another handler's outcome is no cure");
    assert!(flow.ended_at.is_some());

    // A redrive: a failed attempt does not help, an outcome does, and it may end dead once more.
    history.retrying("payment", placed, "order.placed", "charge", 1);
    assert_eq!(history.flow(&reactions()).state, State::Dead);
    history.dead("payment", placed, "order.placed", "charge", 2);
    let flow = history.flow(&reactions());
    assert_eq!((flow.state, flow.dead_letters().count()), (State::Dead, 1));
    assert!(flow.steps.iter().all(|step| !step.duplicate), "each dead letter is a fact of its own");
    history.reaction("payment._handled", placed, "order.placed", "charge");
    let flow = history.flow(&reactions());
    assert_eq!((flow.state, flow.dead_letters().count()), (State::Completed, 0));
}

#[test]
fn a_consumer_owes_nothing_about_events_from_before_its_start() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let at = history.messages[0].at;
    let state = |since: Since| {
        let mut late = declared("audit", "note", "order.placed", &[]);
        late.since = since;
        history.flow(&Reactions::from_iter([late])).state
    };
    assert_eq!(state(Since::Sequence(1)), State::Running);
    assert_eq!(state(Since::Sequence(2)), State::Completed);
    assert_eq!(state(Since::Time(at)), State::Running);
    assert_eq!(state(Since::Time(at + time::Duration::seconds(1))), State::Completed);
}

#[test]
fn two_consumers_of_one_handler_await_one_reaction() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let charge = declared("payment", "charge", "order.placed", &[]);
    let flow = history.flow(&Reactions::from_iter([charge.clone(), charge]));
    assert_eq!(flow.awaited.len(), 1);
}

#[test]
fn nobody_can_tell_what_an_at_least_once_handler_owes() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let mut telemetry = declared("metering", "count", "order.placed", &[]);
    telemetry.at_least_once = true;
    assert_eq!(history.flow(&Reactions::from_iter([telemetry])).state, State::Completed);
}

#[test]
fn a_deadline_is_awaited_until_it_has_a_record_or_what_it_waits_for_is_there() {
    let reactions = Reactions::from_iter([give_up()]);
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let flow = history.flow(&reactions);
    assert_eq!((flow.state, flow.awaited.len()), (State::Running, 1));
    let awaited = &flow.awaited[0];
    assert_eq!(awaited.due_at, Some(flow.steps[0].at + time::Duration::minutes(1)));
    assert_eq!(awaited.unless.len(), 2);
    history.retrying("order", placed, "order.placed", "give_up", 1);
    assert_eq!(history.flow(&reactions).state, State::Running, "a failed attempt settles nothing");

    let mut answered = history.clone();
    answered.reaction("payment.declined", placed, "order.placed", "charge");
    let flow = answered.flow(&reactions);
    assert_eq!((flow.state, flow.awaited.as_slice()), (State::Completed, &[][..]));
    let mut garbled = history.clone();
    garbled.store("payment.captured", &[("Laban", "id=?")], "{}");
    assert_eq!(
        garbled.flow(&reactions).state,
        State::Completed,
        "whoever looks for it by its subject finds it"
    );

    history.reaction("order.payment-overdue", placed, "order.placed", "give_up");
    let flow = history.flow(&reactions);
    assert_eq!((flow.state, flow.awaited.as_slice()), (State::Completed, &[][..]));
}

#[test]
fn a_redrive_opens_the_dead_letter_that_it_names_and_nothing_else() {
    let only_charge: Reactions = [declared("payment", "charge", "order.placed", &[])].into_iter().collect();
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let redrive = |history: &mut History, dead_seq: u64| {
        let body = format!(r#"{{"dead_seq":{dead_seq},"by":"ann","why":"the bank is back"}}"#);
        history.attempt("payment._redrive", placed, "order.placed", "charge", 1, &body);
    };
    redrive(&mut history, 1);
    assert_eq!(history.flow(&only_charge).state, State::Running, "nothing was dead");
    history.dead("payment", placed, "order.placed", "charge", 1);
    redrive(&mut history, 1);
    assert_eq!(history.flow(&only_charge).state, State::Dead, "1 is no dead letter");
    redrive(&mut history, 2);
    let flow = history.flow(&only_charge);
    assert_eq!((flow.state, flow.awaited.len(), flow.dead_letters().count()), (State::Running, 1, 0));
    assert!(flow.to_tree(laban_flow::TreeStyle::default()).contains("handed back by ann: the bank is back"));
    history.dead("payment", placed, "order.placed", "charge", 2);
    redrive(&mut history, 2);
    assert_eq!(history.flow(&only_charge).state, State::Dead, "2 has been handed back before");
    redrive(&mut history, 5);
    history.reaction("payment.captured", placed, "order.placed", "charge");
    assert_eq!(history.flow(&only_charge).state, State::Completed);
    redrive(&mut history, 5);
    assert_eq!(history.flow(&only_charge).state, State::Completed, "what took effect is not opened again");
}

#[test]
fn what_is_to_be_done_again_is_awaited_and_no_duplicate_and_what_was_given_up_stays_dead() {
    let charge = declared("payment", "charge", "order.placed", &[]);
    let unless = ["payment.captured"].map(|event| event.parse().unwrap()).to_vec();
    let overdue = Declared {
        deadline: Some(Deadline { unless, within: Duration::from_secs(60) }),
        ..declared("order", "give_up", "order.placed", &[])
    };
    let reactions: Reactions = [charge, overdue].into_iter().collect();
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let again = |history: &mut History, service: &str, handler: &str| {
        let body = r#"{"again":{"stream":"ORDER","seq":1},"by":"ann","why":"the bank lost it"}"#;
        history.attempt(&format!("{service}._redrive"), placed, "order.placed", handler, 1, body);
    };
    let awaited = |history: &History| {
        let flow = history.flow(&reactions);
        assert!(flow.steps.iter().all(|step| !step.duplicate), "{:?}", flow.steps);
        (flow.state, flow.awaited.into_iter().map(|one| one.handler).collect::<Vec<_>>())
    };
    history.reaction("order.payment-overdue", placed, "order.placed", "give_up");
    history.reaction("payment.captured", placed, "order.placed", "charge");
    assert_eq!(awaited(&history), (State::Completed, vec![]));
    again(&mut history, "payment", "charge");
    assert_eq!(awaited(&history), (State::Running, vec!["charge".to_owned()]));
    let flow = history.flow(&reactions);
    let tree = flow.to_tree(laban_flow::TreeStyle::default());
    assert!(tree.contains("to be done again, asked for by ann: the bank lost it"), "{tree}");
    history.reaction_under("payment.captured", placed, "order.placed", "charge", 2, EventId::root());
    assert_eq!(awaited(&history), (State::Completed, vec![]));
    again(&mut history, "order", "give_up");
    assert_eq!(awaited(&history), (State::Running, vec!["give_up".to_owned()]), "whatever it waited for");
    history.dead("order", placed, "order.placed", "give_up", 2);
    assert_eq!(awaited(&history), (State::Dead, vec![]));

    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.dead("payment", placed, "order.placed", "charge", 1);
    let body = r#"{"again":{"stream":"ORDER","seq":1},"by":"ann","why":"the bank lost it"}"#;
    history.attempt("payment._redrive", placed, "order.placed", "charge", 1, body);
    assert_eq!(history.flow(&reactions).state, State::Dead, "that is for a redrive");
}

#[test]
fn a_discarded_dead_letter_stands_no_more_until_somebody_thinks_better_of_it() {
    let only_charge: Reactions = [declared("payment", "charge", "order.placed", &[])].into_iter().collect();
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.dead("payment", placed, "order.placed", "charge", 1);
    let body = |dead_seq: u64| format!(r#"{{"dead_seq":{dead_seq},"by":"ann","why":"a test order"}}"#);
    let write = |history: &mut History, record: &str, dead_seq: u64| {
        history.attempt(&format!("payment.{record}"), placed, "order.placed", "charge", 1, &body(dead_seq));
    };
    write(&mut history, "_discarded", 7);
    assert_eq!(history.flow(&only_charge).state, State::Dead, "there is no dead letter 7");
    write(&mut history, "_discarded", 1);
    let flow = history.flow(&only_charge);
    assert_eq!((flow.state, flow.awaited.len(), flow.dead_letters().count()), (State::Completed, 0, 0));
    assert!(flow.to_tree(laban_flow::TreeStyle::default()).contains("discarded by ann: a test order"));
    write(&mut history, "_redrive", 1);
    let flow = history.flow(&only_charge);
    assert_eq!((flow.state, flow.awaited.len()), (State::Running, 1));
    write(&mut history, "_discarded", 1);
    assert_eq!(history.flow(&only_charge).state, State::Running, "it is being tried");
    history.dead("payment", placed, "order.placed", "charge", 2);
    assert_eq!(history.flow(&only_charge).state, State::Dead);
}
