//! History read again, from a real broker.

use async_nats::jetstream::consumer::DeliverPolicy;
use futures_util::TryStreamExt as _;
use laban_flow::replay::{Plan, Record, Replay, Selection};
use laban_flow::{Error, Mesh};
use laban_wire::{EventId, HEADER, Meta};

use crate::history::{History, cancelled, declared, dispatched, shop};
use crate::live::{Live, Outcome};

async fn plan(live: &Live, selection: &Selection) -> Outcome<Plan> {
    let mesh = Mesh::discover(&live.client).await?;
    Ok(Plan::make(&live.client, &mesh, selection).await?)
}

async fn records_of(live: &Live, plan: &Plan) -> Outcome<Vec<Record>> {
    let mut replay = plan.replay(&live.client, &live.client);
    let mut records = Vec::new();
    while let Some(record) = replay.next().await? {
        records.push(record);
    }
    replay.close().await;
    Ok(records)
}

/// Everything selected; and it was said how much it would be.
async fn read(live: &Live, selection: &Selection) -> Outcome<Vec<Record>> {
    let plan = plan(live, selection).await?;
    let records = records_of(live, &plan).await?;
    assert_eq!(plan.records(), records.len() as u64, "{selection:?}");
    Ok(records)
}

fn subjects(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.stored.subject.as_str()).collect()
}

fn place(record: &Record) -> (&str, u64) {
    (&record.stored.stream, record.stored.seq)
}

/// Each after what its stream held before it, and after its cause where that is there at all.
fn assert_causal(records: &[Record]) {
    let ids: Vec<_> = records.iter().map(|one| one.message.as_ref().ok().map(|m| m.meta.id)).collect();
    for (index, record) in records.iter().enumerate() {
        let later = records[index..].iter().filter(|later| later.stored.stream == record.stored.stream);
        assert!(later.map(place).all(|other| other >= place(record)), "{:?}", place(record));
        let reaction = record.message.as_ref().ok().and_then(|message| message.meta.reaction.as_ref());
        if let Some(reaction) = reaction
            && let Some(cause) = ids.iter().position(|id| *id == Some(reaction.cause))
        {
            assert!(cause < index, "{:?} comes before its cause", place(record));
        }
    }
}

async fn consumers(live: &Live, stream: &str) -> Outcome<Vec<String>> {
    let mut names: Vec<String> = live.js.get_stream(stream).await?.consumer_names().try_collect().await?;
    names.sort();
    Ok(names)
}

/// The same history with ids that no other flow has.
fn with_own_ids(mut history: History) -> History {
    for message in &mut history.messages {
        let mut meta: Meta = message.headers.get(HEADER).unwrap().as_str().parse().unwrap();
        let own = |id: EventId| EventId::foreign(history.flow.token(), &id.to_string().replace('-', "/"));
        meta.id = own(meta.id);
        if let Some(reaction) = &mut meta.reaction {
            reaction.cause = own(reaction.cause);
        }
        message.headers.insert(HEADER, meta.to_header());
    }
    history
}

/// A shop with five flows, and a system record.
async fn small_shop() -> Outcome<Live> {
    let live = Live::with(&shop()).await?;
    for flow in ["1", "2", "a/b"] {
        live.write(&with_own_ids(dispatched(flow))).await?;
    }
    live.write(&with_own_ids(cancelled("3"))).await?;
    let mut dead = History::new("4");
    let placed = dead.root("order.placed");
    dead.dead("payment", placed, "order.placed", "charge", 1);
    live.write(&with_own_ids(dead)).await?;
    Ok(live)
}

#[tokio::test]
async fn any_combination_selects_what_it_says_and_is_counted_before() -> Outcome {
    let live = small_shop().await?;
    let all = read(&live, &Selection::default()).await?;
    assert_causal(&all);
    assert!(all.len() > 20, "{}", all.len());
    let middle = all[all.len() / 2].stored.at;
    let flows = vec!["1".parse()?, "a/b".parse()?];
    let services = vec!["payment".parse()?, "order".parse()?];
    let events = vec!["payment.captured".parse()?, "payment._dead".parse()?, "shipping.dispatched".parse()?];
    for bits in 0..64_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let selection = Selection {
            since: has(0).then_some(middle),
            until: has(1).then_some(middle + time::Duration::milliseconds(1)),
            flows: if has(2) { flows.clone() } else { Vec::new() },
            services: if has(3) { services.clone() } else { Vec::new() },
            events: if has(4) { events.clone() } else { Vec::new() },
            events_only: has(5),
            ..Selection::default()
        };
        let wanted = |record: &&Record| {
            let Record { stored, message, .. } = record;
            let message = message.as_ref().unwrap();
            let event_type = &message.subject.event_type;
            selection.since.is_none_or(|since| stored.at >= since)
                && selection.until.is_none_or(|until| stored.at < until)
                && (!has(2) || flows.contains(&message.subject.flow))
                && (!has(3) || services.iter().any(|service| service.as_str() == event_type.service()))
                && (!has(4) || events.contains(event_type))
                && (!has(5) || !event_type.is_system())
        };
        let mut wanted: Vec<_> = all.iter().filter(wanted).map(place).collect();
        wanted.sort_unstable();
        let found = read(&live, &selection).await?;
        assert_causal(&found);
        let mut found: Vec<_> = found.iter().map(place).collect();
        // What is selected may be in another order, where a cause that decided it is not.
        found.sort_unstable();
        assert_eq!(found, wanted, "{selection:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_range_of_sequences_is_of_one_stream() -> Outcome {
    let live = small_shop().await?;
    let range = |from, to| Selection {
        from_seq: Some(from),
        to_seq: Some(to),
        streams: vec!["ORDER".to_owned()],
        ..Selection::default()
    };
    let found = read(&live, &range(2, 4)).await?;
    assert_eq!(found.iter().map(place).collect::<Vec<_>>(), [("ORDER", 2), ("ORDER", 3), ("ORDER", 4)]);
    assert_eq!(read(&live, &range(1_000, 2_000)).await?.len(), 0);
    let placed = Selection { events: vec!["order.placed".parse()?], ..range(2, 1_000) };
    let found = read(&live, &placed).await?;
    assert!(!found.is_empty() && subjects(&found).iter().all(|subject| subject.starts_with("order.placed.")));
    let of_all = Selection { streams: Vec::new(), ..range(2, 4) };
    let refused = plan(&live, &of_all).await.unwrap_err();
    assert!(matches!(refused.downcast_ref(), Some(Error::Selection { .. })), "{refused}");
    Ok(())
}

/// The broker stamps when it stores: what is stored in the wrong order looks as clocks would that are apart.
#[tokio::test]
async fn effects_come_after_their_causes_whatever_the_clocks_say() -> Outcome {
    let live = Live::with(&shop()).await?;
    for flow in 0..50 {
        let mut turned = with_own_ids(dispatched(&format!("{flow}")));
        // Each stream keeps its order; the streams are written in the order that is most wrong.
        turned.messages.sort_by_key(|one| {
            ["SHIPPING", "INVENTORY", "PAYMENT", "ORDER"].iter().position(|name| *name == &*one.stream)
        });
        live.write(&turned).await?;
    }
    let records = read(&live, &Selection::default()).await?;
    let by_clock = records.is_sorted_by_key(|record| record.stored.at);
    assert!(!by_clock, "the clocks tell the truth: nothing is tested here");
    assert_causal(&records);
    Ok(())
}

#[tokio::test]
async fn the_range_ends_where_the_streams_ended() -> Outcome {
    let live = small_shop().await?;
    let plan = plan(&live, &Selection::default()).await?;
    live.write(&dispatched("later")).await?;
    let records = records_of(&live, &plan).await?;
    assert_eq!(records.len() as u64, plan.records());
    assert!(!subjects(&records).iter().any(|subject| subject.ends_with(".later")));
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_behind_and_live_consumers_stay_where_they_are() -> Outcome {
    let live = small_shop().await?;
    live.reacts(&declared("mail", "confirm", "order.placed", &[]), DeliverPolicy::All).await?;
    let before = consumers(&live, "ORDER").await?;
    let pending = async || -> Outcome<u64> {
        let mut consumer: async_nats::jetstream::consumer::PullConsumer =
            live.js.get_consumer_from_stream("mail-confirm-order-placed", "ORDER").await?;
        Ok(consumer.info().await?.num_pending)
    };
    let waiting = pending().await?;
    assert!(waiting > 0);
    assert!(!read(&live, &Selection::default()).await?.is_empty());
    assert_eq!((consumers(&live, "ORDER").await?, pending().await?), (before.clone(), waiting));
    // Given up in the middle.
    let plan = plan(&live, &Selection::default()).await?;
    let mut replay = plan.replay(&live.client, &live.client);
    assert!(replay.next().await?.is_some());
    replay.close().await;
    assert_eq!((consumers(&live, "ORDER").await?, pending().await?), (before, waiting));
    Ok(())
}

/// More than is asked for at a time, or looked ahead.
#[tokio::test]
async fn long_streams_are_read_whole_and_in_order() -> Outcome {
    let live = long_streams().await?;
    assert_whole(&read(&live, &Selection::default()).await?);
    Ok(())
}

/// Two streams of six thousand records each.
async fn long_streams() -> Outcome<Live> {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut many = History::new("4711");
    for _ in 0..6 {
        many.messages.clear();
        for _ in 0..1_000 {
            many.store("order.placed", &[], "{}");
            many.store("payment.captured", &[], "{}");
        }
        live.write(&many).await?;
    }
    Ok(live)
}

/// Both streams, each record once, and in their order.
fn assert_whole(records: &[Record]) {
    assert_eq!(records.len(), 12_000);
    for stream in ["ORDER", "PAYMENT"] {
        let seqs = records.iter().filter(|one| &*one.stored.stream == stream).map(|one| one.stored.seq);
        assert!(seqs.eq(1..=6_000), "{stream}");
    }
}

/// The rest of a replay, after something has happened to what it reads by.
async fn rest(mut replay: Replay, mut records: Vec<Record>) -> Outcome<Vec<Record>> {
    while let Some(record) = replay.next().await? {
        records.push(record);
    }
    replay.close().await;
    Ok(records)
}

/// As when a viewer at the speed of life has not asked for long.
#[tokio::test]
async fn a_consumer_that_is_gone_is_made_again_where_it_was() -> Outcome {
    let live = long_streams().await?;
    let plan = plan(&live, &Selection::default()).await?;
    let mut replay = plan.replay(&live.client, &live.client);
    let mut records = Vec::new();
    for _ in 0..100 {
        records.extend(replay.next().await?);
    }
    let mut deleted = 0;
    for stream in ["ORDER", "PAYMENT"] {
        for name in consumers(&live, stream).await?.iter().filter(|name| !name.starts_with("payment-")) {
            live.js.delete_consumer_from_stream(name, stream).await?;
            deleted += 1;
        }
    }
    assert_eq!(deleted, 2);
    assert_whole(&rest(replay, records).await?);
    assert_eq!(consumers(&live, "PAYMENT").await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_broker_that_comes_back_is_read_on() -> Outcome {
    let mut live = long_streams().await?;
    let plan = plan(&live, &Selection::default()).await?;
    let mut replay = plan.replay(&live.client, &live.client);
    let mut records = Vec::new();
    for _ in 0..100 {
        records.extend(replay.next().await?);
    }
    live.restart().await?;
    assert_whole(&rest(replay, records).await?);
    Ok(())
}

#[tokio::test]
async fn a_message_that_no_client_can_read_is_shown_and_holds_up_nothing() -> Outcome {
    let live = small_shop().await?;
    let before = read(&live, &Selection::default()).await?.len();
    live.write_raw("order.placed.broken", "NATS/1.0\r\nno colon\r\n\r\n", "{}").await?;
    live.write(&dispatched("after")).await?;
    let mesh = Mesh::discover(&live.client).await?;
    let plan = Plan::make(&live.client, &mesh, &Selection::default()).await?;
    let bulk = live.connect().await?;
    let mut replay = plan.replay(&live.client, &bulk);
    let mut records = Vec::new();
    while let Some(record) = replay.next().await? {
        records.push(record);
    }
    replay.close().await;
    assert_eq!(records.len() as u64, plan.records());
    let broken: Vec<_> = records.iter().filter(|record| record.message.is_err()).collect();
    assert_eq!(broken.len(), 1);
    assert_eq!(broken[0].stored.subject, "order.placed.broken");
    assert!(records.len() > before + 1);
    assert_causal(&records);
    Ok(())
}
