use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::stream;
use futures_util::StreamExt as _;
use laban_flow::{Flow, Reactions, State};
use laban_testkit::streams::home;
use laban_wire::{DeadReason, EventId, FlowId};

use crate::history::{History, cancelled, declared, dispatched, shop};
use crate::live::{Live, Outcome};

pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Everything but what only the broker knows: sequences and times.
fn story(flow: &Flow) -> Vec<String> {
    let story = flow.steps.iter();
    story
        .map(|s| format!("{} {} {:?} {:?} {:?}", s.full_name(), s.id, s.cause, s.handler, s.attempt))
        .collect()
}

/// Fan-out, join, retry and compensation; two flows in the same streams.
#[tokio::test]
async fn what_is_read_is_what_was_written() -> Outcome {
    let live = Live::with(&shop()).await?;
    let reactions: Reactions = shop().into_iter().collect();
    let (good, bad) = (dispatched("4711"), cancelled("4712"));
    live.write(&good).await?;
    live.write(&bad).await?;
    for (history, state) in [(good, State::Completed), (bad, State::Compensated)] {
        let read = live.read(&history.flow).await?.ok_or("no such flow")?;
        let built = history.flow(&reactions);
        assert_eq!(story(&read), story(&built));
        assert_eq!((read.state, read.awaited.as_slice()), (state, &[][..]));
        assert_eq!(read.causes(), built.causes());
        assert_eq!(read.steps[0].trace_id.as_deref(), Some("0000000000000000000000004bf92f35"));
        let latest = read.steps.iter().map(|step| step.at).max();
        assert_eq!(read.ended_at, latest);
    }
    Ok(())
}

#[tokio::test]
async fn a_running_and_a_dead_flow() -> Outcome {
    let live = Live::with(&shop()).await?;
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.retrying("payment", placed, "order.placed", "charge", 1);
    live.write(&history).await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!((flow.state, flow.ended_at), (State::Running, None));
    let awaited: Vec<_> = flow.awaited.iter().map(|a| (a.handler.as_str(), a.next_at.is_some())).collect();
    assert_eq!(awaited, [("reserve", false), ("charge", true)]);
    assert_eq!(flow.steps[1].error.as_deref(), Some("connection refused"));

    history.messages.clear();
    history.dead("payment", placed, "order.placed", "charge", 2);
    live.write(&history).await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!((flow.state, flow.dead_letters().count()), (State::Dead, 1));
    assert_eq!(flow.steps[2].reason, Some(DeadReason::Exhausted));
    Ok(())
}

#[tokio::test]
async fn messages_of_other_origin() -> Outcome {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut history = History::new("4711");
    history.store("order.placed", &[], "{}");
    let id = "0199f3c2-0000-7000-8000-000000000001";
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    history.store("order.placed", &[("Ce-Id", id), ("Ce-Source", "/shop"), ("Traceparent", trace)], "{}");
    history.store("order.placed", &[("Laban", "id=4711")], "not even JSON");
    history.reaction("payment.captured", EventId::of_stored("ORDER", 1), "order.placed", "charge");
    live.write(&history).await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!(flow.causes(), [None, None, Some(0)]);
    assert_eq!(flow.steps[1].id.to_string(), id);
    assert_eq!(flow.steps[1].span_id.as_deref(), Some("00f067aa0ba902b7"));
    assert_eq!((flow.state, flow.awaited.len()), (State::Running, 1));
    assert_eq!(flow.awaited[0].cause, flow.steps[1].id);
    assert_eq!((flow.unreadable.len(), flow.unreadable[0].seq), (1, 3));
    assert!(flow.unreadable[0].reason.contains("field `id`"), "{}", flow.unreadable[0].reason);
    Ok(())
}

/// The broker stores any header block; a client that is handed a broken one drops its connection.
#[tokio::test]
async fn a_broken_header_block_hides_nothing() -> Outcome {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.reaction("payment.captured", placed, "order.placed", "charge");
    live.write(&history).await?;
    live.write_raw("order.placed.4711", "NATS/1.0\r\nno colon\r\n\r\n", "{}").await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!((flow.steps.len(), flow.state), (2, State::Completed));
    assert_eq!((flow.unreadable.len(), flow.unreadable[0].seq), (1, 2));
    assert!(flow.unreadable[0].reason.contains("`no colon` is no header"), "{}", flow.unreadable[0].reason);
    Ok(())
}

#[tokio::test]
async fn any_key_finds_its_own_flow_only() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    let keys = ["a", "a.b", "a b", "*", ">", "a.*", "🦀 Köln", "%41", "A", "$JS.API", "x\r\ny"];
    for key in keys {
        let mut history = History::new(key);
        history.root("order.placed");
        live.write(&history).await?;
    }
    for (place, key) in keys.iter().enumerate() {
        let flow = live.read(&FlowId::new(key)?).await?.ok_or("no such flow")?;
        assert_eq!((flow.flow.as_str(), flow.steps.len()), (*key, 1));
        assert_eq!(flow.steps[0].seq, u64::try_from(place)? + 1);
    }
    Ok(())
}

/// A plain client that did not escape the key: the flow's dead letter has its cause beside it.
#[tokio::test]
async fn a_key_that_was_not_escaped_is_found_and_named() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    live.home("payment").await?;
    let mut history = History::new("Köln/1");
    history.store("order.placed", &[], "{}").subject = "order.placed.Köln/1".to_owned();
    history.dead("payment", EventId::of_stored("ORDER", 1), "order.placed", "charge", 0);
    live.write(&history).await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!((flow.steps.len(), flow.unreadable.len()), (1, 1));
    assert!(flow.unreadable[0].reason.contains("is not an escaped flow id"), "{}", flow.unreadable[0].reason);
    assert_eq!(flow.steps[0].cause, Some(flow.unreadable[0].id));
    Ok(())
}

#[tokio::test]
async fn a_flow_of_three_thousand_records() -> Outcome {
    let live = Live::with(&[declared("payment", "charge", "order.placed", &[])]).await?;
    let mut history = History::new("4711");
    let mut other = History::new("4712");
    for n in 0..1_500_u128 {
        let id: EventId = format!("0199f3c2-0000-7000-8000-{n:012x}").parse()?;
        history.write("order.placed", &laban_wire::Meta::root(id, 1), "{}");
        history.reaction("payment.captured", id, "order.placed", "charge");
        other.root("order.placed");
    }
    live.write(&other).await?;
    live.write(&history).await?;
    let flow = live.read(&history.flow).await?.ok_or("no such flow")?;
    assert_eq!((flow.steps.len(), flow.state), (3_000, State::Completed));
    assert_eq!(flow.causes().iter().flatten().count(), 1_500);
    Ok(())
}

#[tokio::test]
async fn a_flow_that_does_not_exist_is_none() -> Outcome {
    let live = Live::start().await?;
    assert_eq!(live.read(&"4711".parse()?).await?, None, "with no home stream at all");
    live.home("order").await?;
    assert_eq!(live.read(&"4711".parse()?).await?, None);
    Ok(())
}

/// Streams are read at once but not at one instant: an effect may be seen before its cause. Here requests to the stream of the
/// cause are handed on by the test, the first one to a stream that does not hold it yet.
#[tokio::test]
async fn a_cause_that_is_not_there_yet_is_read_again() -> Outcome {
    let live = Live::start().await?;
    live.home("payment").await?;
    let stream = |name: &str, subject: &str| stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        ..home("order")
    };
    live.js.create_stream(stream::Config { allow_direct: false, ..stream("ORDER", "unused") }).await?;
    for (name, subject) in [("BEFORE", "nothing"), ("AFTER", "order.*.*")] {
        live.js.create_stream(stream::Config { metadata: HashMap::new(), ..stream(name, subject) }).await?;
    }
    let mut history = History::new("4711");
    let placed = history.root("order.placed");
    history.reaction("payment.captured", placed, "order.placed", "charge");
    live.write(&history).await?;

    let mut requests = live.client.subscribe("$JS.API.DIRECT.GET.ORDER").await?;
    let handing_on = async {
        for stream in ["BEFORE", "AFTER"] {
            let request = requests.next().await.ok_or("no request")?;
            let reply = request.reply.ok_or("no reply subject")?;
            let subject = format!("$JS.API.DIRECT.GET.{stream}");
            live.client.publish_with_reply(subject, reply, request.payload).await?;
        }
        Outcome::Ok(())
    };
    let (read, handed_on) = tokio::join!(live.read(&history.flow), tokio::time::timeout(SOON, handing_on));
    handed_on??;
    assert_eq!(read?.ok_or("no such flow")?.causes(), [None, Some(0)]);
    Ok(())
}
