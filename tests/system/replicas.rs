//! Replicas of streams at work: raised from one to three, and then any node may die.

use std::time::Duration;

use async_nats::jetstream;
use demo::audit::ends;
use demo::orders::Plan;
use demo::{Settings, program};
use laban_testkit::{Cluster, wait};
use laban_tests::{Outcome, Shop, consumers};

const SOON: Duration = Duration::from_secs(90);
const STREAMS: [&str; 7] =
    ["ORDER", "ORDER_TIMERS", "PAYMENT", "INVENTORY", "SHIPPING", "NOTIFICATION", "KV_laban_contracts"];

/// Waits until so many flows have ended. Streams may have no leader meanwhile.
async fn until_ended(shop: &Shop, ended: usize) -> Outcome {
    wait::until(format!("{ended} flows to end"), SOON, async || {
        let Ok(history) = shop.history().await else { return false };
        history.ids().filter(|id| !ends(&history, id).is_empty()).count() >= ended
    })
    .await?;
    Ok(())
}

/// Runs `laban stream` on the cluster.
async fn laban_stream(cluster: &Cluster, args: &[&str]) -> Outcome<String> {
    let mut command = std::process::Command::new(program("laban", "-p laban-cli")?);
    command.args(["stream", "--server", &cluster.url()]).args(args);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {out}{err}");
    Ok(out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_raised_while_orders_flow_and_then_any_node_dies() -> Outcome {
    let mut cluster = Cluster::start().await?;
    let shop = Shop::with(Settings { url: Some(cluster.url()), ..Settings::default() }).await?;
    let plan = Plan::new(150, 60);
    let (placing, gate) = shop.place_in_portions(&plan, 5);
    let troubling = async {
        until_ended(&shop, 10).await?;
        let listed = laban_stream(&cluster, &["list"]).await?;
        assert!(STREAMS.iter().all(|stream| listed.contains(stream)), "{listed}");

        gate.add_permits(1);
        let raised = laban_stream(&cluster, &["replicas", "3", "--yes"]).await?;
        for stream in STREAMS {
            assert!(raised.contains(&format!("{stream} was changed: from 1 to 3, all current")), "{raised}");
        }
        let client = shop.mesh.client().await?;
        for consumer in consumers(&client).await? {
            assert_eq!(consumer.config.num_replicas, 0, "{} follows its stream", consumer.name);
            let others = consumer.cluster.ok_or("a consumer of a cluster")?.replicas;
            assert!(
                others.len() == 2 && others.iter().all(|peer| peer.current),
                "{}: {others:?}",
                consumer.name
            );
        }
        let context = jetstream::new(client);
        let leader =
            context.get_stream("PAYMENT").await?.cached_info().cluster.clone().and_then(|c| c.leader);
        let first = leader.and_then(|leader| cluster.named(&leader)).ok_or("PAYMENT has a leader")?;

        // First the one that leads what everybody waits for.
        for (nth, node) in (0..3).map(|i| (first + i) % 3).enumerate() {
            gate.add_permits(1);
            cluster.kill(node);
            until_ended(&shop, 40 + 25 * nth).await?;
            cluster.start_again(node).await?;
            cluster.ready().await?;
        }
        // What was away has caught up; nothing is to be changed.
        let again = laban_stream(&cluster, &["replicas", "3", "--yes"]).await?;
        assert_eq!(again.matches("was left alone: it has 3, all current").count(), STREAMS.len(), "{again}");
        Outcome::Ok(())
    };
    let (placed, ()) = tokio::try_join!(async { Ok(placing.await) }, troubling)?;
    shop.over(&plan, &placed).await?.assert_as_planned(&plan);
    shop.all_alive()?;
    Ok(())
}
