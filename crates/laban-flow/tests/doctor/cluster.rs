//! A cluster that has lost something.

use async_nats::jetstream::stream;
use laban_testkit::{Cluster, wait};

use crate::rig::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cluster_lacks_is_found() -> Outcome {
    let mut cluster = Cluster::start().await?;
    let rig = Rig::at(&cluster.url()).await?.furnished(3).await?;
    cluster.ready().await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), [""; 0], "{examined:#?}");
    assert_eq!(examined.looked_at.servers, 3);

    // One replica of three nodes: while its node is away, nothing goes.
    rig.js.create_stream(stream::Config { num_replicas: 1, ..home("audit") }).await?;
    let found = named(&rig.examine().await);
    assert_eq!(found, ["warning: few-replicas AUDIT", "warning: stream-without-service AUDIT"]);

    let mut audit = rig.js.get_stream("AUDIT").await?;
    let leader = audit.info().await?.cluster.as_ref().and_then(|cluster| cluster.leader.clone());
    let only = cluster.named(&leader.ok_or("a leader")?).ok_or("a node")?;
    cluster.kill(only);
    let wanted = [
        "error: no-leader AUDIT",
        "warning: replica-away KV_laban_contracts",
        "warning: replica-away ORDER",
        "warning: replica-away PAYMENT",
    ];
    let mut found = Vec::new();
    // The others notice it by and by, and elect new leaders.
    let until = wait::until("it is noticed", 3 * SOON, async || {
        found = named(&rig.examine().await);
        wanted.iter().all(|one| found.iter().any(|found| found == one))
    });
    until.await.map_err(|error| format!("{error}; the last: {found:#?}"))?;

    // One of three is no majority.
    cluster.kill((only + 1) % 3);
    let until = wait::until("nothing answers any more", 3 * SOON, async || {
        found = named(&rig.examine().await);
        found.contains(&"error: no-leader cluster".to_owned())
    });
    until.await.map_err(|error| format!("{error}; the last: {found:#?}"))?;
    Ok(())
}
