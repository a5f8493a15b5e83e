//! What should have happened by now and did not.

use async_nats::jetstream::consumer::{DeliverPolicy, PullConsumer};
use laban_flow::{Flow, Mesh, OVERDUE, Reactions, State, TreeStyle, Why};
use time::{Duration, OffsetDateTime};

use crate::history::{History, declared, give_up, shop};
use crate::live::{Live, Outcome};

fn charge() -> Reactions {
    [declared("payment", "charge", "order.placed", &[])].into_iter().collect()
}

/// The flow's state this many seconds after its last record, and since when each overdue reaction is.
fn after(flow: &Flow, seconds: i64) -> (State, Vec<(String, i64)>) {
    let last = flow.steps.iter().map(|step| step.at).max().unwrap();
    let flow = flow.clone().judged_at(last + Duration::seconds(seconds), OVERDUE);
    let since = |since: OffsetDateTime| (since - last).whole_seconds();
    (flow.state, flow.overdue().map(|(a, overdue)| (a.handler.clone(), since(overdue.since))).collect())
}

#[test]
fn a_reaction_without_a_sign_of_life_is_overdue_after_a_while() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let flow = history.flow(&charge());
    assert_eq!(after(&flow, 30), (State::Running, vec![]));
    assert_eq!(after(&flow, 31), (State::Stuck, vec![("charge".to_owned(), 0)]));
}

#[test]
fn an_attempt_that_is_still_to_come_is_not_overdue_and_one_that_did_not_come_is() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    // The next attempt is due at 07:33:21.5, and this is written at 07:33:10.
    history.messages[0].at -= Duration::seconds(3600);
    history.retrying("payment", placed, "order.placed", "charge", 1);
    history.messages[1].at -= Duration::seconds(10);
    let flow = history.flow(&charge());
    assert_eq!(after(&flow, 40), (State::Running, vec![]));
    assert_eq!(after(&flow, 60), (State::Stuck, vec![("charge".to_owned(), 11)]));
}

#[test]
fn a_deadline_is_overdue_when_it_has_passed_without_a_record() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    let flow = history.flow(&Reactions::from_iter([give_up()]));
    assert_eq!(after(&flow, 90), (State::Running, vec![]));
    assert_eq!(after(&flow, 91), (State::Stuck, vec![("give_up".to_owned(), 60)]));
    history.reaction("order.payment-overdue", placed, "order.placed", "give_up");
    assert_eq!(after(&history.flow(&Reactions::from_iter([give_up()])), 1_000), (State::Completed, vec![]));
}

#[test]
fn a_dead_letter_says_more_than_that_something_else_is_overdue() {
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.dead("payment", placed, "order.placed", "charge", 2);
    let (state, overdue) = after(&history.flow(&shop().into_iter().collect()), 100);
    assert_eq!((state, overdue.len()), (State::Dead, 1));
}

#[test]
fn the_tree_names_what_is_overdue_and_since_when() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let flow = history.flow(&charge());
    let flow = flow.judged_at(history.messages[0].at + Duration::minutes(5), OVERDUE);
    let tree = flow.to_tree(TreeStyle { ascii: true, colour: false });
    for expected in [
        "flow 4711 - stuck - ",
        "overdue since 2026-10-26 07:33:20.001 UTC: no sign of life",
        "\noverdue: payment charge, on order.placed, since 2026-10-26 07:33:20.001 UTC\n",
    ] {
        assert!(tree.contains(expected), "expected {expected:?} in:\n{tree}");
    }
}

#[test]
fn what_is_overdue_is_listed_before_what_is_awaited() {
    let mut history = History::new("4711");
    history.root("order.placed");
    let many = (0..30).map(|n| declared("audit", &format!("h{n}"), "order.placed", &[]));
    let mut flow = history.flow(&many.chain([give_up()]).collect());
    flow = flow.judged_at(history.messages[0].at + Duration::hours(1), OVERDUE);
    flow.awaited.iter_mut().filter(|awaited| awaited.service == "audit").for_each(|a| a.overdue = None);
    let tree = flow.to_tree(TreeStyle::default());
    assert!(tree.contains("\n\noverdue: order give_up, on order.placed"), "{tree}");
}

/// By the broker's clock, and with what it knows of consumers: the grace is nothing here, so that everything is late.
#[tokio::test]
async fn the_broker_knows_who_has_it_in_hand() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    live.home("payment").await?;
    live.reacts(&declared("payment", "charge", "order.placed", &[]), DeliverPolicy::All).await?;
    let mut history = History::new("4711");
    history.root("order.placed");
    live.write(&history).await?;
    let judged = async || -> Outcome<(State, Option<Why>)> {
        let mesh = Mesh::discover(&live.client).await?;
        let flow = Flow::read(&live.client, &mesh, &history.flow).await?.ok_or("no such flow")?;
        assert_eq!(flow.clone().judged(&mesh, OVERDUE).state, State::Running, "it is seconds old");
        let flow = flow.judged(&mesh, std::time::Duration::ZERO);
        let why = flow.overdue().map(|(_, overdue)| overdue.why).next();
        Ok((flow.state, why))
    };
    assert_eq!(judged().await?, (State::Stuck, Some(Why::NobodyAsks)));

    // An instance that takes it, and asks for more: it is being worked on.
    let consumer: PullConsumer =
        live.js.get_consumer_from_stream("payment-charge-order-placed", "ORDER").await?;
    let mut in_hand = futures_util::StreamExt::boxed(consumer.messages().await?);
    let delivery = futures_util::StreamExt::next(&mut in_hand).await.ok_or("no delivery")??;
    assert_eq!(judged().await?, (State::Running, None));
    delivery.double_ack().await.map_err(|e| e.to_string())?;
    assert_eq!(judged().await?, (State::Stuck, Some(Why::Unrecorded)));
    Ok(())
}
