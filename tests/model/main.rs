//! A model of the commit, looked at in every state that it can reach. See `README.md` beside this file.
//!
//! `cargo test -p laban-tests --test model -- --show-output` tells how each variant fails.

#![expect(clippy::print_stdout, reason = "the test runner keeps it with the test")]

mod actions;
mod broker;
mod checks;
mod choreography;
mod properties;
mod protocol;
mod search;
mod state;
mod story;
mod variants;

use std::path::Path;

use actions::{Action, Fate};
use checks::{breaks, holds, sees, verdicts};
use choreography::{Fault, Scene};
use properties::{Property, Sight};
use protocol::Protocol;
use variants::Variant;

const CREDIT: usize = 0;
const GIFT_WHEN_PAID: usize = 1;
const GIFT_WHEN_DELIVERED: usize = 2;
const GREET: usize = 3;

/// One event, two handlers.
const ONE_EVENT: Scene =
    Scene { reactions: &[CREDIT, GIFT_WHEN_PAID], faults: 3, kinds: Fault::ALL, joins: true };
/// The same without flow state, so that nobody reads before it begins.
const PLAIN: Scene = Scene { faults: 2, joins: false, ..ONE_EVENT };
/// Two events of one flow, one handler.
const JOIN: Scene =
    Scene { reactions: &[GIFT_WHEN_PAID, GIFT_WHEN_DELIVERED], faults: 3, kinds: Fault::ALL, joins: true };
/// Two flows; an outcome of the one is also written into the other.
const TWO_FLOWS: Scene = Scene { reactions: &[CREDIT, GREET], faults: 2, kinds: Fault::ALL, joins: true };
/// Two events of one flow, two handlers.
const ONE_FLOW: Scene = Scene {
    reactions: &[CREDIT, GIFT_WHEN_PAID, GIFT_WHEN_DELIVERED],
    faults: 2,
    kinds: Fault::ALL,
    joins: true,
};
/// Everything.
const ALL: Scene = Scene {
    reactions: &[CREDIT, GIFT_WHEN_PAID, GIFT_WHEN_DELIVERED, GREET],
    faults: 1,
    kinds: Fault::ALL,
    joins: true,
};

/// An append that is refused for a moment does no harm by itself; nearly everything else does.
const ALL_BUT_IN_FLIGHT: &[Fault] =
    &[Fault::Freeze, Fault::Crash, Fault::NoAnswer, Fault::AckLost, Fault::Renewal];

#[test]
fn one_event_takes_effect_once_at_each_of_two_handlers() {
    holds(Variant::Shipped, ONE_EVENT, Sight::OF_ANY_TWO).ends();
}

#[test]
fn it_does_so_too_when_nobody_reads_first() {
    holds(Variant::Shipped, PLAIN, Sight::OF_ANY_TWO).ends();
}

#[test]
fn of_two_events_one_completes_the_join() {
    holds(Variant::Shipped, JOIN, &Sight::ALL).ends();
}

#[test]
fn an_outcome_in_two_flows_takes_effect_once_in_both() {
    holds(Variant::Shipped, TWO_FLOWS, Sight::OF_ANY_TWO).ends();
}

#[test]
fn two_events_of_a_flow_take_effect_once_at_each_of_two_handlers() {
    holds(Variant::Shipped, ONE_FLOW, &Sight::ALL).ends();
}

#[test]
fn all_events_of_all_flows_take_effect_once() {
    holds(Variant::Shipped, ALL, &[Sight::FenceLost, Sight::ZombieRefused, Sight::JoinOvertaken]).ends();
}

#[test]
fn every_danger_is_met() {
    Sight::ALL.into_iter().for_each(|sight| sees(ONE_FLOW, sight));
}

#[test]
#[ignore = "minutes and gigabytes, with --release"]
fn one_fault_more_changes_nothing() {
    // Everything at once would take more memory than most machines have.
    for scene in [ONE_EVENT, PLAIN, JOIN, TWO_FLOWS, ONE_FLOW] {
        holds(Variant::Shipped, Scene { faults: scene.faults + 1, ..scene }, &[]).ends();
    }
}

#[test]
fn without_the_fence_something_takes_effect_twice() {
    breaks(Variant::NoFence, ONE_EVENT, Property::Once, ALL_BUT_IN_FLIGHT);
}

#[test]
fn with_a_dedup_window_for_a_fence_something_takes_effect_twice() {
    breaks(Variant::DedupWindow, ONE_EVENT, Property::Once, ALL_BUT_IN_FLIGHT);
}

#[test]
fn messages_published_one_by_one_are_acknowledged_in_part() {
    breaks(Variant::MessageByMessage, ONE_EVENT, Property::Whole, &[]);
    let by = [Fault::Freeze, Fault::Crash, Fault::NoAnswer, Fault::InFlight, Fault::Renewal];
    breaks(Variant::MessageByMessage, ONE_EVENT, Property::Kept, &by);
}

#[test]
fn when_records_are_evicted_too_early_something_takes_effect_twice() {
    breaks(Variant::EvictsOldest, ONE_EVENT, Property::Once, ALL_BUT_IN_FLIGHT);
}

#[test]
fn a_lost_fence_does_not_mean_that_the_reaction_is_done() {
    breaks(Variant::LostMeansDone, ONE_EVENT, Property::Kept, &[]);
}

#[test]
fn a_lost_fence_does_not_mean_that_the_reaction_is_not_done() {
    breaks(Variant::LostMeansAgain, ONE_EVENT, Property::Once, ALL_BUT_IN_FLIGHT);
}

#[test]
fn a_handler_that_read_the_flow_and_does_not_run_again_misses_the_join() {
    breaks(Variant::NoRerun, JOIN, Property::Joined, &[]);
}

#[test]
fn an_outcome_does_not_rest_on_what_was_given_up_and_read_anew() {
    breaks(Variant::KeptWhenForgotten, JOIN, Property::Joined, &[Fault::InFlight]);
}

#[test]
fn no_answer_does_not_mean_that_the_append_took_effect() {
    breaks(Variant::UnknownMeansDone, ONE_EVENT, Property::Kept, &[Fault::NoAnswer]);
}

#[test]
fn to_take_no_answer_for_a_no_costs_a_lost_fence_and_no_more() {
    // So may be repeated what the broker cannot take now.
    let scene = Scene { faults: 2, ..ONE_EVENT };
    holds(Variant::UnknownMeansAgain, scene, &[Sight::FenceLost, Sight::DuplicateAbsorbed]).ends();
}

#[test]
fn an_input_that_is_acknowledged_before_the_commit_is_lost() {
    breaks(Variant::AckFirst, ONE_EVENT, Property::Kept, &[]);
    breaks(Variant::AckFirst, ONE_EVENT, Property::Found, &[Fault::Crash]);
}

#[test]
fn what_is_taken_for_known_when_it_is_sent_is_wrong_and_loses_events() {
    breaks(Variant::KnownWhenSent, ONE_EVENT, Property::Known, &[]);
    breaks(Variant::KnownWhenSent, ONE_EVENT, Property::Kept, &[]);
}

#[test]
fn a_replica_that_lags_behind_does_no_harm_but_holds_up_the_commit() {
    let scene = Scene { faults: 2, ..ONE_EVENT };
    holds(Variant::StaleReads, scene, Sight::OF_ANY_TWO).may_go_round();
}

#[test]
fn the_states_that_are_left_out_would_not_change_a_verdict() {
    let scenes =
        [Scene { faults: 1, ..ONE_EVENT }, Scene { faults: 1, ..JOIN }, Scene { faults: 1, ..TWO_FLOWS }];
    for variant in Variant::ALL {
        for scene in scenes {
            let protocol = Protocol { variant, scene, reduced: true };
            let whole = verdicts(&Protocol { reduced: false, ..protocol });
            assert_eq!(verdicts(&protocol), whole, "{variant:?}: {scene}");
        }
    }
}

#[test]
fn the_functions_that_actions_stand_for_are_there() {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/laban/src/runtime");
    let one_of_each = [
        Action::Deliver { reaction: 0, to: 0 },
        Action::Begin { at: 0, reaction: 0, forgotten: false, shown: 0 },
        Action::Append { at: 0, flow: 0, fate: Fate::Answered },
        Action::Read { at: 0, flow: 0, shown: 0 },
        Action::Ack { at: 0, flow: 0, arrives: true },
    ];
    for action in one_of_each {
        assert!(!action.code().is_empty(), "{action:?} is a step of the code");
        for (file, function) in action.code() {
            let code = std::fs::read_to_string(runtime.join(file)).unwrap();
            let (of, name) = function.split_once("::").unwrap();
            let there = code.contains(&format!("impl {of} {{")) && code.contains(&format!("fn {name}("));
            assert!(there, "{action:?}: no `{function}` in runtime/{file}");
        }
    }
}
