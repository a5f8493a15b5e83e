use async_nats::jetstream;
use laban_testkit::{Broker, Error, Signal};

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn store(broker: &Broker, text: &'static str) -> Result<u64, Box<dyn std::error::Error>> {
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    js.get_or_create_stream(jetstream::stream::Config {
        name: "NOTES".into(),
        subjects: vec!["notes.>".into()],
        ..Default::default()
    })
    .await?;
    Ok(js.publish("notes.a", text.into()).await?.await?.sequence)
}

async fn stored(broker: &Broker) -> Result<u64, Box<dyn std::error::Error>> {
    let js = jetstream::new(async_nats::connect(broker.url()).await?);
    Ok(js.get_stream("NOTES").await?.cached_info().state.messages)
}

#[tokio::test]
async fn two_at_once_know_nothing_of_each_other() -> Outcome {
    let (one, two) = tokio::try_join!(Broker::start(), Broker::start())?;
    assert_ne!(one.port(), two.port());
    assert_eq!(store(&one, "a").await?, 1);
    assert_eq!(store(&one, "b").await?, 2);
    assert_eq!(store(&two, "a").await?, 1);
    Ok(())
}

#[tokio::test]
async fn killed_stopped_and_restarted_it_keeps_port_and_data() -> Outcome {
    let mut broker = Broker::start().await?;
    let (url, first) = (broker.url(), broker.pid());
    store(&broker, "before the crash").await?;

    broker.kill();
    assert!(!broker.process().is_running());
    broker.start_again().await?;
    assert_eq!(broker.url(), url);
    assert_ne!(broker.pid(), first);
    assert_eq!(stored(&broker).await?, 1);

    store(&broker, "before the restart").await?;
    broker.restart().await?;
    assert_eq!(broker.url(), url);
    assert_eq!(stored(&broker).await?, 2);
    assert!(broker.logs().contains("Server is ready"));
    Ok(())
}

#[tokio::test]
async fn dropping_ends_the_server_and_takes_its_store() -> Outcome {
    let broker = Broker::start().await?;
    let (port, store) = (broker.port(), broker.store_dir().to_owned());
    assert!(store.exists());
    drop(broker);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert!(!store.exists());
    Ok(())
}

#[tokio::test]
async fn a_store_of_ones_own_stays() -> Outcome {
    let dir = tempfile::tempdir()?;
    let first = Broker::builder().store_dir(dir.path()).start().await?;
    store(&first, "to be kept").await?;
    drop(first);
    let second = Broker::builder().store_dir(dir.path()).start().await?;
    assert_eq!(stored(&second).await?, 1);
    Ok(())
}

#[tokio::test]
async fn settings_reach_the_server() -> Outcome {
    let broker = Broker::builder()
        .max_payload(1000)
        .config("authorization { user: ann, password: secret }")
        .jetstream(false)
        .start()
        .await?;
    assert!(async_nats::connect(broker.url()).await.is_err(), "a password is asked for");
    let client = async_nats::ConnectOptions::with_user_and_password("ann".into(), "secret".into())
        .connect(broker.url())
        .await?;
    assert_eq!(client.server_info().max_payload, 1000);
    assert!(!client.server_info().jetstream);
    Ok(())
}

#[tokio::test]
async fn the_local_configuration_file_serves_with_ports_and_store_of_the_broker() -> Outcome {
    let broker = Broker::builder().config(include_str!("../../../../deploy/local/nats.conf")).start().await?;
    assert_eq!(store(&broker, "a").await?, 1);
    assert_ne!(broker.port(), 4222);
    assert!(broker.store_dir().join("jetstream").is_dir(), "{}", broker.logs());
    Ok(())
}

#[tokio::test]
async fn a_wrong_configuration_fails_in_the_servers_own_words() {
    let error =
        Broker::builder().config("no_such_setting: 1").start().await.expect_err("the server refuses it");
    assert!(matches!(error, Error::Exited { .. }), "{error}");
    assert!(error.to_string().contains("unknown field \"no_such_setting\""), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_named() -> Outcome {
    let first = Broker::start().await?;
    let error = Broker::builder().port(first.port()).start().await.expect_err("the port is taken");
    assert!(error.to_string().contains("address already in use"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_frozen_server_answers_after_the_thaw() -> Outcome {
    let broker = Broker::start().await?;
    broker.process().signal(Signal::Stop)?;
    broker.process().signal(Signal::Cont)?;
    assert_eq!(store(&broker, "a").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_broker_alone_tells_clients_of_nobody() -> Outcome {
    let broker = Broker::start().await?;
    let client = async_nats::connect(broker.url()).await?;
    assert_eq!(client.server_info().connect_urls, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn messages_are_written_through_or_the_start_fails() -> Outcome {
    let broker = Broker::builder().sync_always().start().await?;
    assert_eq!(store(&broker, "a").await?, 1);

    let overruled = Broker::builder().sync_always().config("jetstream { max_file_store: 1GB }");
    let error = overruled.start().await.expect_err("the server syncs every two minutes");
    assert!(matches!(error, Error::Overruled { .. }), "{error}");
    let both = Broker::builder().sync_always().config("jetstream { sync: always, max_file_store: 1GB }");
    both.start().await?;
    Ok(())
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_port_of_a_killed_server_is_kept_and_refuses_clients() -> Outcome {
    let mut broker = Broker::start().await?;
    broker.kill();
    let refused = tokio::net::TcpStream::connect(broker.addr()).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // What binds as a server does is let in; what asks for any port is not given this one.
    let stranger = tokio::net::TcpSocket::new_v4()?;
    let taken = stranger.bind(broker.addr()).expect_err("the port is kept");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    broker.start_again().await?;
    Ok(())
}
