//! The flow graph that an order should leave, by what is known of the shop: written down here a second time on purpose.

use std::collections::{BTreeMap, BTreeSet};

use demo::CHOREOGRAPHY;
use demo::audit::{Edge, edges_of_flow};
use demo::orders::Ending;
use laban_flow::{Flow, Step};
use laban_wire::RETRYING;
use shop::events::CancelReason;

const OVERDUE: &str = "order.payment-overdue";
/// Reacts only to what nobody else has answered in time.
const GIVE_UP: (&str, &str) = ("order", "give_up");

/// What may come of a reaction: service, handler, the events reacted to, the event emitted. Everything else comes to
/// nothing.
const OUTCOMES: [(&str, &str, &[&str], &str); 13] = [
    ("payment", "charge", &["order.placed"], "payment.captured"),
    ("payment", "charge", &["order.placed"], "payment.declined"),
    ("payment", "void", &[OVERDUE], "payment.declined"),
    ("payment", "refund", &["inventory.rejected"], "payment.refunded"),
    ("inventory", "reserve", &["order.placed"], "inventory.reserved"),
    ("inventory", "reserve", &["order.placed"], "inventory.rejected"),
    ("inventory", "release", &["payment.declined"], "inventory.released"),
    ("shipping", "dispatch", &["payment.captured", "inventory.reserved"], "shipping.dispatched"),
    ("order", "close", &["shipping.dispatched"], "order.completed"),
    ("order", "close", &["payment.declined", "payment.refunded"], "order.cancelled"),
    ("order", "close", &["inventory.rejected", "inventory.released"], "order.cancelled"),
    ("order", "give_up", &["order.placed"], OVERDUE),
    ("", "", &[], "order.placed"),
];

/// The events of each way through the shop.
const COMPLETED: &[&str] =
    &["order.placed", "payment.captured", "inventory.reserved", "shipping.dispatched", "order.completed"];
const DECLINED_AND_RELEASED: &[&str] =
    &["order.placed", "payment.declined", "inventory.reserved", "inventory.released", "order.cancelled"];
const REJECTED_AND_REFUNDED: &[&str] =
    &["order.placed", "payment.captured", "inventory.rejected", "payment.refunded", "order.cancelled"];
/// Whichever of the two knew of the other's in time, or both by themselves.
const NEITHER: &[&str] = &["order.placed", "payment.declined", "inventory.rejected", "order.cancelled"];

/// The ways that an order may take.
fn ways(ending: Ending, overdue: bool) -> Vec<&'static [&'static str]> {
    let mut ways: Vec<&[&str]> = match ending {
        Ending::Completed => vec![COMPLETED],
        Ending::Cancelled(Some(CancelReason::OutOfStock)) => vec![REJECTED_AND_REFUNDED, NEITHER],
        Ending::Cancelled(Some(_)) => vec![DECLINED_AND_RELEASED, NEITHER],
        Ending::Cancelled(None) => vec![NEITHER],
        Ending::Contended => vec![COMPLETED, REJECTED_AND_REFUNDED, NEITHER],
    };
    if overdue {
        // The bank may have been faster than the news that it was late, or not.
        ways.extend([DECLINED_AND_RELEASED, NEITHER]);
    }
    ways
}

/// Whether the payment was not answered in time.
pub(super) fn is_overdue(flow: &Flow) -> bool {
    flow.steps.iter().any(|step| step.full_name() == OVERDUE)
}

/// In what a flow that has ended differs from what its order should have left, in sentences: event for event, edge for edge.
pub(super) fn compare(flow: &Flow, ending: Ending) -> Vec<String> {
    let mut wrong = Vec::new();
    let events: Vec<&Step> = flow.steps.iter().filter(|step| !step.is_system() && !step.duplicate).collect();
    let mut names: Vec<String> =
        events.iter().map(|step| step.full_name()).filter(|name| name != OVERDUE).collect();
    names.sort();
    let overdue = is_overdue(flow);
    let fits = |way: &&[&str]| {
        let mut way = way.to_vec();
        way.sort_unstable();
        way == names
    };
    if !ways(ending, overdue).iter().any(fits) {
        wrong.push(format!("its events are {}, which is no way to {ending:?}", names.join(", ")));
    }
    wrong.extend(compare_edges(&events, &edges_of_flow(&settled(flow))));
    wrong.extend(decided_too_early(flow));
    wrong
}

/// A flow without its failed attempts, of which there may be any number.
fn settled(flow: &Flow) -> Flow {
    let mut flow = flow.clone();
    flow.steps.retain(|step| step.event != RETRYING);
    flow
}

/// Every handler reacted once to every event that it reacts to, and every event came of a reaction that it can come of.
fn compare_edges(events: &[&Step], edges: &[Edge]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut reactions = BTreeMap::<(String, &str, &str), usize>::new();
    for edge in edges {
        *reactions.entry((edge.cause.clone(), &edge.service, &edge.handler)).or_default() += 1;
    }
    for event in events {
        let (id, name) = (event.id.to_string(), event.full_name());
        for (service, handler, _) in CHOREOGRAPHY.iter().filter(|(_, _, on)| *on == name) {
            let is = reactions.remove(&(id.clone(), service, handler)).unwrap_or(0);
            let late = events.iter().any(|event| event.full_name() == OVERDUE);
            let should = usize::from((*service, *handler) != GIVE_UP || late);
            if is != should {
                wrong.push(format!("{service} {handler} reacted {is} times to {name}, not {should}"));
            }
        }
        let came_of = edges.iter().find(|edge| edge.event.as_deref() == Some(&id));
        let on = event.on.as_ref().map_or("", |on| on.as_str());
        let (service, handler) =
            came_of.map_or(("", ""), |edge| (edge.service.as_str(), edge.handler.as_str()));
        let may = OUTCOMES.iter().any(|(by, with, to, what)| {
            (*by, *with, *what) == (service, handler, name.as_str()) && (to.is_empty() || to.contains(&on))
        });
        if !may {
            wrong.push(format!("{name} came of {service} {handler} on {on}"));
        }
    }
    wrong.extend(reactions.into_iter().map(|((cause, service, handler), times)| {
        format!("{service} {handler} reacted {times} times to {cause}, which nobody expected")
    }));
    wrong
}

/// A parcel is sent when both halves are known, an order cancelled when neither money nor goods are held. What was known is
/// what the service's own stream held before.
fn decided_too_early(flow: &Flow) -> Vec<String> {
    let rests_on = |decision: &Step| {
        let own = flow.steps.iter().filter(|step| {
            step.stream == decision.stream && step.seq <= decision.seq && step.handler == decision.handler
        });
        own.filter_map(|step| step.on.as_ref().map(|on| on.as_str())).collect::<BTreeSet<&str>>()
    };
    let mut wrong = Vec::new();
    for step in &flow.steps {
        let needs: &[&[&str]] = match step.full_name().as_str() {
            "shipping.dispatched" => &[&["payment.captured"], &["inventory.reserved"]],
            "order.cancelled" => {
                &[&["payment.declined", "payment.refunded"], &["inventory.rejected", "inventory.released"]]
            }
            _ => continue,
        };
        let known = rests_on(step);
        if !needs.iter().all(|any_of| any_of.iter().any(|one| known.contains(one))) {
            wrong.push(format!("{} was decided on {known:?}", step.full_name()));
        }
    }
    wrong
}
