use async_nats::jetstream::{consumer, stream};
use futures_util::StreamExt as _;
use laban_flow::{Error, Flow, Mesh, Since};
use laban_testkit::Broker;
use laban_testkit::streams::home;
use laban_wire::metadata;

use crate::history::{History, declared, give_up};
use crate::live::{Live, Outcome};

#[tokio::test]
async fn only_services_take_part() -> Outcome {
    let live =
        Live::with(&[declared("inventory", "release", "payment.declined", &["inventory.reserved"])]).await?;
    let plain =
        stream::Config { name: "NOTES".into(), subjects: vec!["notes.>".into()], ..Default::default() };
    live.js.create_stream(plain).await?;
    let watcher = consumer::pull::Config { durable_name: Some("watcher".into()), ..Default::default() };
    live.js.create_consumer_on_stream(watcher, "PAYMENT").await?;
    let mesh = Mesh::discover(&live.client).await?;
    let homes: Vec<_> = mesh.homes.iter().map(|home| (home.service.as_str(), home.stream.as_str())).collect();
    assert_eq!(homes, [("inventory", "INVENTORY"), ("payment", "PAYMENT")]);
    let all: Vec<_> = mesh.reactions.iter().cloned().collect();
    assert_eq!(all, [declared("inventory", "release", "payment.declined", &["inventory.reserved"])]);
    assert_eq!(mesh.problems, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_consumer_that_cannot_be_understood_is_a_problem_with_a_name() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    let said = [(metadata::SERVICE, "payment"), (metadata::HANDLER, "charge"), (metadata::EVENT, "placed")];
    let broken = consumer::pull::Config {
        durable_name: Some("odd".into()),
        metadata: said.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Default::default()
    };
    live.js.create_consumer_on_stream(broken, "ORDER").await?;
    let mesh = Mesh::discover(&live.client).await?;
    assert_eq!(mesh.reactions.iter().count(), 0);
    assert_eq!(mesh.problems.len(), 1);
    assert!(
        mesh.problems[0].starts_with("consumer odd of stream ORDER: its metadata `laban.event`: `placed`")
    );
    Ok(())
}

#[tokio::test]
async fn an_at_least_once_handler_says_so() -> Outcome {
    let mut counting = declared("metering", "count", "order.placed", &[]);
    counting.at_least_once = true;
    let live = Live::with(&[counting.clone()]).await?;
    let all: Vec<_> = Mesh::discover(&live.client).await?.reactions.iter().cloned().collect();
    assert_eq!(all, [counting]);
    Ok(())
}

#[tokio::test]
async fn a_deadline_says_what_it_waits_for_and_its_timers_are_no_home() -> Outcome {
    let live = Live::with(&[give_up()]).await?;
    let timers = stream::Config {
        name: "ORDER_TIMERS".into(),
        subjects: vec!["_timers.order.*.*.*".into(), "_due.order.*.*".into()],
        metadata: [(metadata::TIMERS.to_owned(), "order".to_owned())].into(),
        ..Default::default()
    };
    live.js.create_stream(timers).await?;
    let cancelling = consumer::pull::Config {
        durable_name: Some("order_give_up-unless_payment_captured".into()),
        metadata: [(metadata::CANCELS.to_owned(), "order/give_up".to_owned())].into(),
        ..Default::default()
    };
    live.js.create_consumer_on_stream(cancelling, "ORDER").await?;
    let mesh = Mesh::discover(&live.client).await?;
    assert!(mesh.homes.iter().all(|home| home.stream != "ORDER_TIMERS"), "{:?}", mesh.homes);
    let all: Vec<_> = mesh.reactions.iter().cloned().collect();
    assert_eq!((all, mesh.problems), (vec![give_up()], Vec::new()));
    Ok(())
}

#[tokio::test]
async fn where_a_consumer_starts_is_known() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    let before = time::OffsetDateTime::now_utc();
    live.reacts(&declared("a", "h", "order.placed", &[]), consumer::DeliverPolicy::All).await?;
    let from = consumer::DeliverPolicy::ByStartSequence { start_sequence: 7 };
    live.reacts(&declared("b", "h", "order.placed", &[]), from).await?;
    live.reacts(&declared("c", "h", "order.placed", &[]), consumer::DeliverPolicy::New).await?;
    let from = consumer::DeliverPolicy::ByStartTime { start_time: before };
    live.reacts(&declared("d", "h", "order.placed", &[]), from).await?;
    let mesh = Mesh::discover(&live.client).await?;
    let since: Vec<_> = mesh.reactions.iter().map(|declared| declared.since).collect();
    assert_eq!((since[0], since[1], since[3]), (Since::Ever, Since::Sequence(7), Since::Time(before)));
    let Since::Time(created) = since[2] else { panic!("{:?}", since[2]) };
    assert!(created >= before && created <= time::OffsetDateTime::now_utc());
    Ok(())
}

#[tokio::test]
async fn lists_are_read_to_their_end() -> Outcome {
    let live = Live::start().await?;
    // The broker lists 256 at a time.
    for n in 0..300 {
        let config = stream::Config { storage: stream::StorageType::Memory, ..home(&format!("s{n}")) };
        live.js.create_stream(config).await?;
    }
    for n in 0..300 {
        let declared = declared("audit", &format!("h{n}"), "s0.noted", &[]);
        live.reacts(&declared, consumer::DeliverPolicy::All).await?;
    }
    let mesh = Mesh::discover(&live.client).await?;
    assert_eq!((mesh.homes.len(), mesh.reactions.iter().count()), (300, 300));
    let mut history = History::new("4711");
    history.root("s299.noted");
    live.write(&history).await?;
    assert!(Flow::read(&live.client, &mesh, &history.flow).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_is_an_error_with_its_name() -> Outcome {
    let live = Live::start().await?;
    live.home("order").await?;
    live.home("payment").await?;
    let mut history = History::new("4711");
    history.root("order.placed");
    live.write(&history).await?;
    let mesh = Mesh::discover(&live.client).await?;
    live.js.delete_stream("PAYMENT").await?;
    let error = Flow::read(&live.client, &mesh, &history.flow).await.expect_err("half of it is hidden");
    assert!(matches!(error, Error::Read(_)), "{error:?}");
    assert!(error.to_string().contains("stream PAYMENT"), "{error}");
    Ok(())
}

#[tokio::test]
async fn another_wire_format_is_an_error_with_its_stream() -> Outcome {
    let live = Live::start().await?;
    let mut config = home("order");
    config.metadata.insert(metadata::WIRE.to_owned(), "2".to_owned());
    live.js.create_stream(config).await?;
    let error = Mesh::discover(&live.client).await.expect_err("a later format").to_string();
    assert!(error.contains("stream ORDER has wire format 2, this program reads 1"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_broker_without_jetstream_says_so() -> Outcome {
    let broker = Broker::builder().jetstream(false).start().await?;
    let client = async_nats::connect(broker.url()).await?;
    let error = Mesh::discover(&client).await.expect_err("no JetStream").to_string();
    assert_eq!(error, "asking for the streams: JetStream is not enabled there");
    Ok(())
}

/// A cluster lists the streams that do not answer. There is no cluster here, so the test answers as one would.
#[tokio::test]
async fn a_silent_stream_is_an_error_with_its_name() -> Outcome {
    let broker = Broker::builder().jetstream(false).start().await?;
    let client = async_nats::connect(broker.url()).await?;
    let mut requests = client.subscribe("$JS.API.STREAM.LIST").await?;
    let answers = [
        (r#"{"total":1,"streams":[],"missing":["PAYMENT"]}"#, "PAYMENT"),
        (r#"{"total":1,"streams":null,"offline":{"ORDER":"unsupported"}}"#, "ORDER"),
    ];
    for (answer, name) in answers {
        let answering = async {
            let reply = requests.next().await.and_then(|request| request.reply).ok_or("no request")?;
            Outcome::Ok(client.publish(reply, answer.into()).await?)
        };
        let (mesh, answered) = tokio::join!(Mesh::discover(&client), answering);
        answered?;
        let error = mesh.expect_err("a stream is silent").to_string();
        assert!(error.starts_with(&format!("asking for the streams: no answer from {name};")), "{error}");
    }
    Ok(())
}
