//! What only a cluster can lack.

use async_nats::jetstream::{self, stream};
use laban_testkit::{Cluster, Prometheus};
use laban_tests::Outcome;
use laban_wire::metadata;

use crate::api::Api;
use crate::rig::{Watcher, configure, has_prometheus, until};

#[tokio::test]
async fn a_replica_that_is_away_is_missed() -> Outcome {
    if !has_prometheus().await? {
        return Ok(());
    }
    let mut cluster = Cluster::start().await?;
    let context = jetstream::new(async_nats::connect(cluster.urls()).await?);
    let home = stream::Config {
        name: "PAYMENT".to_owned(),
        subjects: vec!["payment.>".to_owned()],
        num_replicas: 3,
        metadata: [(metadata::SERVICE.to_owned(), "payment".to_owned())].into(),
        ..Default::default()
    };
    until("the cluster to take a stream", async || context.create_stream(home.clone()).await.is_ok()).await?;
    cluster.ready().await?;

    let monitors: Vec<String> = (0..cluster.len()).map(|node| cluster.node(node).monitor_url()).collect();
    let metrics = Watcher::start(&cluster.url(), &monitors).await?;
    let folder = tempfile::tempdir()?;
    let target = serde_json::json!([{ "targets": [metrics.address] }]).to_string();
    std::fs::write(folder.path().join("laban-metrics.json"), target)?;
    let api = Api { prometheus: Prometheus::start(configure(folder.path())?).await? };
    until("all replicas to be there", async || {
        api.count("laban_stream_replicas_missing == 0").await.is_ok_and(|found| found == 1)
    })
    .await?;

    let mut stream = context.get_stream("PAYMENT").await?;
    let leader = stream.info().await?.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
    let leader = leader.and_then(|name| cluster.named(&name)).ok_or("a leader")?;
    cluster.kill((leader + 1) % cluster.len());
    api.fires("LabanReplicasMissing").await?;
    api.fires("LabanBrokerDown").await?;
    Ok(())
}
