use std::time::Duration;

use async_nats::jetstream::{self, stream};
use laban_testkit::{Cluster, Error, wait};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SOON: Duration = Duration::from_secs(30);

/// A stream on every node.
async fn stream(cluster: &Cluster) -> Result<jetstream::Context, Box<dyn std::error::Error>> {
    let js = jetstream::new(async_nats::connect(cluster.urls()).await?);
    js.create_stream(stream::Config {
        name: "NOTES".into(),
        subjects: vec!["notes.>".into()],
        num_replicas: cluster.len(),
        ..Default::default()
    })
    .await?;
    Ok(js)
}

/// Until it is acknowledged: the other nodes hear of a new stream's subjects a moment later than its maker.
async fn add(js: &jetstream::Context) -> Result<u64, Error> {
    let added = wait::until_some("an acknowledgement", SOON, async || {
        let acknowledged = js.publish("notes.a", "text".into()).await.ok()?.await.ok()?;
        Some(acknowledged.sequence)
    });
    added.await.map(|(sequence, _)| sequence)
}

/// What the stream's leader says of it; an election in between may cost a request.
async fn info(js: &jetstream::Context) -> Result<stream::Info, Error> {
    let info = wait::until_some("the stream", SOON, async || {
        js.get_stream("NOTES").await.ok().map(|stream| stream.cached_info().clone())
    });
    info.await.map(|(info, _)| info)
}

/// The node that leads the stream.
async fn leader(cluster: &Cluster, js: &jetstream::Context) -> Option<usize> {
    cluster.named(&info(js).await.ok()?.cluster?.leader?)
}

#[tokio::test]
async fn a_replicated_stream_survives_the_kill_of_its_leader() -> Outcome {
    let mut cluster = Cluster::start().await?;
    assert_eq!(cluster.len(), 3);
    let js = stream(&cluster).await?;
    let before = add(&js).await?;
    let first = leader(&cluster, &js).await.ok_or("a stream has a leader")?;

    cluster.kill(first);
    assert!(!cluster.node(first).process().is_running());
    cluster.ready().await?;
    let second = leader(&cluster, &js).await.ok_or("ready, so it has another leader")?;
    assert_ne!(first, second);
    let after = add(&js).await?;
    assert!(after > before, "{after} after {before}");

    let url = cluster.node(first).url();
    cluster.start_again(first).await?;
    cluster.ready().await?;
    assert_eq!(cluster.node(first).url(), url);
    wait::until("three copies of all messages", SOON, async || {
        let Ok(info) = info(&js).await else { return false };
        let copies = info.cluster.iter().flat_map(|c| &c.replicas).filter(|replica| replica.current).count();
        (info.state.messages, copies) == (after, 2)
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn all_stopped_and_started_again_it_is_the_same_cluster() -> Outcome {
    let mut cluster = Cluster::start().await?;
    let urls = cluster.urls();
    let added = add(&stream(&cluster).await?).await?;

    cluster.stop_all().await?;
    assert_eq!(cluster.meta_leader().await, None);
    for i in 0..cluster.len() {
        cluster.start_again(i).await?;
    }
    cluster.ready().await?;
    assert!(cluster.meta_leader().await.is_some());
    assert_eq!(cluster.urls(), urls);
    let js = jetstream::new(async_nats::connect(cluster.urls()).await?);
    assert_eq!(info(&js).await?.state.messages, added);

    cluster.restart(0).await?;
    cluster.ready().await?;
    assert_eq!(cluster.urls(), urls);
    Ok(())
}

#[tokio::test]
async fn with_one_node_of_three_it_is_not_ready_and_with_two_it_is() -> Outcome {
    let mut cluster = Cluster::start().await?;
    cluster.kill(1);
    cluster.kill(2);
    assert!(tokio::time::timeout(Duration::from_secs(2), cluster.ready()).await.is_err());
    cluster.start_again(1).await?;
    cluster.ready().await?;
    Ok(())
}

#[tokio::test]
async fn a_frozen_follower_is_missed_by_nobody_and_catches_up() -> Outcome {
    let cluster = Cluster::start().await?;
    let js = stream(&cluster).await?;
    let leader = leader(&cluster, &js).await.ok_or("a stream has a leader")?;
    let follower = (leader + 1) % cluster.len();
    let js = jetstream::new(async_nats::connect(cluster.node(leader).url()).await?);

    cluster.freeze(follower)?;
    let before = add(&js).await?;
    cluster.thaw(follower)?;
    cluster.ready().await?;
    assert!(add(&js).await? > before);
    Ok(())
}

#[tokio::test]
async fn settings_reach_every_node() -> Outcome {
    let dir = tempfile::tempdir()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let cluster = Cluster::builder()
        .nodes(2)
        .ports([port])
        .config("max_payload: 1000")
        .sync_always()
        .store_dir(dir.path().join("stores"))
        .log_dir(dir.path().join("logs"))
        .start()
        .await?;
    assert_eq!(cluster.node(0).port(), port);
    assert_eq!(cluster.url(), cluster.urls().join(","));
    for (i, name) in ["n1", "n2"].into_iter().enumerate() {
        let client = async_nats::connect(cluster.node(i).url()).await?;
        assert_eq!(client.server_info().server_name, name);
        assert_eq!(cluster.named(name), Some(i));
        assert_eq!(client.server_info().max_payload, 1000);
        assert!(dir.path().join("stores").join(name).join("jetstream").is_dir());
        assert!(dir.path().join("logs").join(format!("{name}.log")).is_file());
    }
    assert_eq!(cluster.named("n3"), None);
    Ok(())
}

#[tokio::test]
async fn clients_are_told_of_the_other_nodes_unless_that_is_forbidden() -> Outcome {
    async fn told(cluster: &Cluster) -> Result<usize, async_nats::ConnectError> {
        let client = async_nats::connect(cluster.node(0).url()).await?;
        Ok(client.server_info().connect_urls.len())
    }
    assert_eq!(told(&Cluster::builder().nodes(2).start().await?).await?, 2);
    assert_eq!(told(&Cluster::builder().nodes(2).no_advertise().start().await?).await?, 0);
    Ok(())
}
