use laban_flow::Map;
use laban_flow::check::{Finding, Kind, Severity, check};
use laban_flow::map::{Known, Member, read_contracts};
use laban_wire::contract::{Contract, DeadlineContract, HandlerContract};

use crate::{contract, events, handler, map, shop};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name, ".json"))
    };
}

fn found(contracts: Vec<Contract>) -> Vec<Finding> {
    check(&Map::join(contracts.into_iter().map(|contract| Member::of(contract, None))).unwrap(), &[])
}

/// Kinds and subjects.
fn names(found: &[Finding]) -> Vec<(Kind, &str)> {
    found.iter().map(|finding| (finding.kind, finding.subject.as_str())).collect()
}

#[test]
fn the_shop_is_clean() {
    assert_eq!(check(&shop(), &[]), []);
}

#[test]
fn what_consumers_do_not_tell_is_not_held_against_anybody() {
    let known_by_consumers = |mut member: Member| {
        member.known = Known::Consumers;
        member.contract.begins.clear();
        member.contract.events.clear();
        for handler in &mut member.contract.handlers {
            let mut failures = std::mem::take(&mut handler.fails_with);
            handler.emits.append(&mut failures);
            handler.reads_flow = false;
        }
        member
    };
    for text in
        [fixture!("shop"), fixture!("cycle"), fixture!("assumed-order"), fixture!("missing-compensation")]
    {
        let members = read_contracts(text, "a test").unwrap().into_iter().map(known_by_consumers);
        assert_eq!(check(&Map::join(members).unwrap(), &[]), []);
    }
}

#[test]
fn each_problem_is_found_and_nothing_else() {
    for (fixture, kind, subject) in [
        (fixture!("unconsumed-event"), Kind::UnconsumedEvent, "payment.audited"),
        (fixture!("untriggered-reaction"), Kind::UntriggeredReaction, "payment/settle"),
        (fixture!("cycle"), Kind::Cycle, "order.payment-requested"),
        (fixture!("missing-compensation"), Kind::MissingCompensation, "payment.captured/shipping.refused"),
        (fixture!("two-producers"), Kind::TwoProducers, "payment.captured"),
        (fixture!("request-reply"), Kind::RequestReply, "order.price-requested/pricing.price-given"),
        (fixture!("assumed-order"), Kind::AssumedOrder, "shipping/dispatch"),
    ] {
        assert_eq!(names(&check(&map(fixture), &[])), [(kind, subject)]);
    }
}

#[test]
fn a_breaking_change_is_found_with_what_has_changed() {
    let registered = [fixture!("registered/order"), fixture!("registered/payment")];
    let registered: Vec<Contract> = registered
        .iter()
        .flat_map(|text| read_contracts(text, "registered").unwrap())
        .map(|member| member.contract)
        .collect();
    let mut both = read_contracts(fixture!("breaking-change"), "new").unwrap();
    both.extend(read_contracts(fixture!("registered/payment"), "registered").unwrap());
    let found = check(&Map::join(both).unwrap(), &registered);
    assert_eq!(names(&found), [(Kind::BreakingChange, "order.placed")]);
    let all = found[0].details.join("\n");
    for field in ["customer", "total_cents", "coupon"] {
        assert!(all.contains(field), "{all}");
    }
    assert!(found[0].fix.starts_with("make it version 2"), "{}", found[0].fix);
    let unchanged = read_contracts(fixture!("registered/order"), "same").unwrap();
    let with = read_contracts(fixture!("registered/payment"), "same").unwrap();
    assert_eq!(check(&Map::join(unchanged.into_iter().chain(with)).unwrap(), &registered), []);
}

#[test]
fn a_reader_of_an_older_version_than_is_emitted_is_found() {
    let text = fixture!("two-producers").replacen("\"version\": 1", "\"version\": 2", 1);
    let mut newer = read_contracts(&text, "newer").unwrap();
    newer.retain(|member| member.name() != "billing");
    let found = check(&Map::join(newer).unwrap(), &[]);
    assert_eq!(names(&found), [(Kind::BreakingChange, "payment/charge")]);
    assert!(found[0].what.contains("up to version 1, and version 2 is emitted"), "{}", found[0].what);
}

#[test]
fn the_way_round_a_cycle_is_shown() {
    let found = check(&map(fixture!("cycle")), &[]);
    assert_eq!(
        found[0].details,
        [
            "order.payment-requested → payment/charge → payment.declined → order/ask_again → order.payment-requested"
        ]
    );
    assert_eq!(found[0].severity, Severity::Warning, "it may end: the charge may succeed");
    let endless = vec![
        contract("a", "a.begun", vec![handler("go", "a.begun b.came", "a.went")]),
        contract("b", "", vec![handler("come", "a.went", "b.came")]),
    ];
    let found = self::found(endless.clone());
    assert_eq!((names(&found)[0], found[0].severity), ((Kind::Cycle, "a.went"), Severity::Error));
    for stops in [
        HandlerContract { reads_flow: true, ..endless[1].handlers[0].clone() },
        HandlerContract {
            deadline: Some(DeadlineContract { unless: events("a.begun"), within_ms: 1000 }),
            ..endless[1].handlers[0].clone()
        },
    ] {
        let ends = vec![endless[0].clone(), contract("b", "", vec![stops])];
        assert!(self::found(ends).iter().all(|finding| finding.kind != Kind::Cycle));
    }
}

#[test]
fn what_only_a_deadline_waits_for_is_not_unconsumed_and_may_be_untriggered() {
    let give_up = |unless: &str| HandlerContract {
        deadline: Some(DeadlineContract { unless: events(unless), within_ms: 1000 }),
        ..handler("give_up", "order.placed", "")
    };
    let charge = || contract("payment", "", vec![handler("charge", "order.placed", "payment.captured")]);
    let order = |unless: &str| contract("order", "order.placed", vec![give_up(unless)]);
    assert_eq!(found(vec![order("payment.captured"), charge()]), []);
    let never = found(vec![order("payment.settled payment.captured"), charge()]);
    assert_eq!(names(&never), [(Kind::UntriggeredReaction, "order/give_up")]);
    assert!(never[0].what.ends_with("it is never what comes in time"), "{}", never[0].what);
    let never = found(vec![order("bank.settled")]);
    assert!(never[0].what.ends_with("its deadline always passes"), "{}", never[0].what);
}

/// Charges or declines; reserves or rejects; `undo` undoes the reservation on this event.
fn undoing_on(event: &str) -> Vec<Contract> {
    let failing = |name: &str, emits: &str, fails: &str| HandlerContract {
        fails_with: events(fails),
        ..handler(name, "order.placed", emits)
    };
    let undo = HandlerContract {
        compensates: events("inventory.reserved"),
        ..handler("undo", event, "inventory.released")
    };
    let all = "payment.captured payment.declined inventory.reserved inventory.rejected inventory.released \
               order.cancelled";
    vec![
        contract("order", "order.placed", vec![handler("cancel", "payment.declined", "order.cancelled")]),
        contract("payment", "", vec![failing("charge", "payment.captured", "payment.declined")]),
        contract("inventory", "", vec![failing("reserve", "inventory.reserved", "inventory.rejected"), undo]),
        contract("audit", "", vec![handler("note", all, "")]),
    ]
}

#[test]
fn a_compensation_may_follow_from_the_failure_by_way_of_other_events() {
    assert_eq!(found(undoing_on("payment.declined")), []);
    assert_eq!(found(undoing_on("order.cancelled")), []);
    let missing = found(undoing_on("inventory.rejected"));
    assert_eq!(names(&missing), [(Kind::MissingCompensation, "inventory.reserved/payment.declined")]);
    assert_eq!(missing[0].details, ["undo of inventory undoes it on inventory.rejected"]);
}

#[test]
fn alternatives_are_no_order_and_what_emits_nothing_assumes_none() {
    let mut all = undoing_on("payment.declined");
    // Declined and captured exclude each other; a second service that says the same of both is in order.
    all.push(contract("crm", "", vec![handler("note", "payment.captured order.cancelled", "crm.noted")]));
    all.push(contract("desk", "", vec![handler("read", "crm.noted payment.captured", "")]));
    assert_eq!(found(all), []);
}

#[test]
fn an_event_that_others_hear_is_no_reply() {
    let mut members = read_contracts(fixture!("request-reply"), "a test").unwrap();
    let desk = contract("desk", "", vec![handler("quote", "pricing.price-given", "")]);
    members.push(Member::of(desk, None));
    assert_eq!(check(&Map::join(members).unwrap(), &[]), []);
}
