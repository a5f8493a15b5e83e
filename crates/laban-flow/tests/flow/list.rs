//! Which flows there are.

use async_nats::jetstream::consumer::PullConsumer;
use futures_util::StreamExt as _;
use laban_flow::{Cursor, Flow, Flows, KeyPattern, Mesh, Query, State};
use time::OffsetDateTime;

use crate::history::{History, cancelled, declared, dispatched, shop};
use crate::live::{Live, Outcome};

/// Everything that is listed, in order.
async fn list(live: &Live, query: Query) -> Outcome<Vec<(String, State, Cursor)>> {
    let mesh = Mesh::discover(&live.client).await?;
    let mut flows = Flows::find(&live.client, &live.client, &mesh, query).await?;
    let mut all = Vec::new();
    while let Some(listed) = flows.next().await? {
        all.push((listed.flow.flow, listed.flow.state, listed.cursor));
    }
    Ok(all)
}

async fn keys(live: &Live, query: Query) -> Outcome<Vec<String>> {
    Ok(list(live, query).await?.into_iter().map(|(key, ..)| key).collect())
}

fn in_state(states: &[State]) -> Query {
    Query { states: states.to_vec(), ..Query::default() }
}

/// A shop with a flow in each state but stuck, oldest first: `done`, `undone`, `dead`, `open`, and `a b` which is done.
async fn all_kinds() -> Outcome<Live> {
    let live = Live::with(&shop()).await?;
    live.write(&dispatched("done")).await?;
    live.write(&cancelled("undone")).await?;
    let mut dead = History::new("dead");
    let placed = dead.root("order.placed");
    dead.reaction("inventory._handled", placed, "order.placed", "reserve");
    dead.dead("payment", placed, "order.placed", "charge", 1);
    live.write(&dead).await?;
    let mut open = History::new("open");
    open.root("order.placed");
    live.write(&open).await?;
    live.write(&dispatched("a b")).await?;
    Ok(live)
}

#[tokio::test]
async fn every_flow_once_the_newest_first() -> Outcome {
    let live = all_kinds().await?;
    let all = list(&live, Query::default()).await?;
    let states: Vec<_> = all.iter().map(|(key, state, _)| (key.as_str(), *state)).collect();
    assert_eq!(
        states,
        [
            ("a b", State::Completed),
            ("open", State::Running),
            ("dead", State::Dead),
            ("undone", State::Compensated),
            ("done", State::Completed),
        ]
    );
    assert!(all.is_sorted_by(|a, b| a.2 > b.2));
    Ok(())
}

#[tokio::test]
async fn by_key_event_service_and_state() -> Outcome {
    let live = all_kinds().await?;
    let key = |text: &str| Query { key: Some(KeyPattern::from(text)), ..Query::default() };
    assert_eq!(keys(&live, key("d")).await?, ["dead", "done"]);
    assert_eq!(keys(&live, key("*n?")).await?, ["undone", "done"]);
    assert_eq!(keys(&live, key("a b")).await?, ["a b"]);
    let event = |text: &str| Query { event: text.parse().ok(), ..Query::default() };
    assert_eq!(keys(&live, event("payment.declined")).await?, ["undone"]);
    assert_eq!(keys(&live, event("shipping.dispatched")).await?, ["a b", "done"]);
    assert_eq!(keys(&live, event("bank.closed")).await?, [""; 0]);
    let service = |text: &str| Query { service: Some(text.to_owned()), ..Query::default() };
    assert_eq!(keys(&live, service("shipping")).await?, ["a b", "undone", "done"]);
    assert_eq!(keys(&live, service("payment")).await?.len(), 5, "open: it is awaited there");
    for exhaustive in [false, true] {
        let query = |states: &[State]| Query { exhaustive, ..in_state(states) };
        assert_eq!(keys(&live, query(&[State::Dead])).await?, ["dead"]);
        assert_eq!(keys(&live, query(&[State::Running])).await?, ["open"]);
        assert_eq!(keys(&live, query(&[State::Running, State::Dead])).await?, ["open", "dead"]);
        assert_eq!(keys(&live, query(&[State::Compensated])).await?, ["undone"]);
        let stuck = Query { overdue: std::time::Duration::ZERO, ..query(&[State::Stuck]) };
        assert_eq!(keys(&live, stuck).await?, ["open"]);
    }
    Ok(())
}

#[tokio::test]
async fn pages_join_without_gap_or_overlap_and_times_bound_them() -> Outcome {
    let live = Live::with(&shop()).await?;
    let mut flows = Vec::new();
    for n in 0..40 {
        flows.push(dispatched(&format!("{n}")));
    }
    // Interleaved: every flow has records on both sides of every page's end.
    for place in 0..6 {
        for flow in &flows {
            let mut one = flow.clone();
            one.messages = vec![flow.messages[place].clone()];
            live.write(&one).await?;
        }
    }
    let whole = list(&live, Query::default()).await?;
    assert_eq!(whole.len(), 40);
    let mesh = Mesh::discover(&live.client).await?;
    let mut pages: Vec<(String, State, Cursor)> = Vec::new();
    loop {
        let after = pages.last().map(|last| last.2.clone());
        let query = Query { after, ..Query::default() };
        let mut page = Flows::find(&live.client, &live.client, &mesh, query).await?;
        let before = pages.len();
        while pages.len() < before + 7
            && let Some(listed) = page.next().await?
        {
            pages.push((listed.flow.flow, listed.flow.state, listed.cursor));
        }
        if pages.len() == before {
            break;
        }
    }
    assert_eq!(pages, whole);
    let (from, to) = (whole[30].2.at, whole[10].2.at);
    let query = Query { since: Some(from), until: Some(to), ..Query::default() };
    assert_eq!(list(&live, query).await?, whole[11..=30]);
    let nothing = Query { until: Some(OffsetDateTime::UNIX_EPOCH), ..Query::default() };
    assert_eq!(keys(&live, nothing).await?, [""; 0]);
    Ok(())
}

/// The broker is asked for what is open, and not for everything.
#[tokio::test]
async fn what_is_open_is_found_without_looking_at_what_is_not() -> Outcome {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    for n in 0..500 {
        let mut history = History::new(&format!("{n}"));
        let placed = history.root("order.placed");
        history.reaction("payment.captured", placed, "order.placed", "charge");
        live.write(&history).await?;
    }
    let consumer: PullConsumer =
        live.js.get_consumer_from_stream("payment-charge-order-placed", "ORDER").await?;
    let mut batch = consumer.batch().max_messages(500).expires(crate::read::SOON).messages().await?;
    while let Some(delivery) = batch.next().await {
        delivery.map_err(|e| e.to_string())?.double_ack().await.map_err(|e| e.to_string())?;
    }
    let mut history = History::new("open");
    history.root("order.placed");
    live.write(&history).await?;
    let mesh = Mesh::discover(&live.client).await?;
    let mut flows = Flows::find(&live.client, &live.client, &mesh, in_state(&[State::Running])).await?;
    let found = flows.next().await?.map(|listed| listed.flow.flow);
    assert_eq!((found.as_deref(), flows.next().await?.is_none()), (Some("open"), true));
    assert!(flows.records() < 10, "{} records were looked at", flows.records());
    Ok(())
}

/// Most records are of other flows, and windows grow and shrink.
#[tokio::test]
async fn a_few_flows_among_many_records() -> Outcome {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut noise = History::new("noise");
    noise.root("order.placed");
    for _ in 0..3 {
        live.write(&dispatched_dead()).await?;
        noise.messages = vec![noise.messages[0].clone(); 5_000];
        live.write(&noise).await?;
    }
    assert_eq!(keys(&live, Query::default()).await?, ["noise", "dead"]);
    assert_eq!(keys(&live, in_state(&[State::Dead])).await?, ["dead"]);
    Ok(())
}

fn dispatched_dead() -> History {
    let mut dead = History::new("dead");
    let placed = dead.root("order.placed");
    dead.dead("payment", placed, "order.placed", "charge", 1);
    dead
}

#[tokio::test]
async fn a_key_that_was_not_escaped_is_listed_by_its_key() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    let mut history = History::new("Köln/1");
    history.store("order.placed", &[], "{}").subject = "order.placed.Köln/1".to_owned();
    live.write(&history).await?;
    let mesh = Mesh::discover(&live.client).await?;
    let mut flows = Flows::find(&live.client, &live.client, &mesh, Query::default()).await?;
    let flow: Flow = flows.next().await?.ok_or("nothing is listed")?.flow;
    assert_eq!((flow.flow.as_str(), flow.unreadable.len()), ("Köln/1", 1));
    Ok(())
}
