//! Each broker is killed in the middle of a thousand orders, and those that lead.

use std::collections::BTreeSet;
use std::time::Instant;

use demo::orders::Plan;
use laban_tests::{Outcome, note};
use serde_json::Value;

use crate::rig::{Rig, place_at};

const ORDERS: usize = 1_000;

/// Whom it hits.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// Who leads a stream.
    Leader(&'static str),
    /// Who leads the cluster: it places streams and consumers.
    MetaLeader,
    /// One that was not killed yet, if there is one.
    Another,
}

/// A leader may be hit that was hit before, so it takes up to four of these until every node was.
const VICTIMS: [Victim; 4] = [Victim::Leader("ORDER"), Victim::MetaLeader, Victim::Another, Victim::Another];

#[tokio::test(flavor = "multi_thread")]
async fn any_node_and_any_leader_is_killed_amid_a_thousand_orders_and_nothing_is_lost_or_done_twice()
-> Outcome {
    // No order may be given up for the broker's sake, however long it takes on this machine.
    let Some(mut rig) = Rig::start(&[("SHOP_PAYMENT_DEADLINE_MS", "120000")]).await? else { return Ok(()) };
    let plan = Plan::new(ORDERS, 30);
    let door = rig.door()?;
    let mut placed = Vec::with_capacity(plan.orders.len());
    let mut killed = BTreeSet::new();
    let mut portions = plan.orders.chunks(plan.orders.len().div_ceil(2 * VICTIMS.len() + 1));
    let mut next = || portions.next().unwrap_or_default();
    placed.extend(place_at(&door, next()).await);
    for victim in VICTIMS {
        let (amid, after) = (next(), next());
        let Some(node) = victim.name(&rig, &killed).await? else {
            placed.extend(place_at(&door, &[amid, after].concat()).await);
            continue;
        };
        let begun = Instant::now();
        // What was placed is not over yet, and more comes at this moment: it is in the middle, however fast the machine is.
        let (amid, ()) = tokio::join!(place_at(&door, amid), async { rig.kill(&node) });
        let answered = begun.elapsed();
        note(&format!("{victim:?}, {node}: {} orders answered in {answered:.1?}", amid.len()));
        let whole = async {
            rig.start_again(&node).await?;
            rig.whole().await
        };
        let (whole, after) = tokio::join!(whole, place_at(&door, after));
        whole?;
        note(&format!("{node}: whole again {:.1?} after it was started again", begun.elapsed() - answered));
        placed.extend(amid.into_iter().chain(after));
        killed.insert(node);
    }
    assert_eq!(killed, rig.brokers().into_iter().map(str::to_owned).collect());
    assert_eq!(placed.len(), plan.orders.len());
    rig.over(&plan, &placed).await?.assert_as_planned(&plan);
    rig.stop().await
}

impl Victim {
    /// Its node's name.
    async fn name(self, rig: &Rig, killed: &BTreeSet<String>) -> Outcome<Option<String>> {
        let name = match self {
            Self::Another => {
                let mut alive = rig.brokers().into_iter().filter(|name| !killed.contains(*name));
                return Ok(alive.next().map(str::to_owned));
            }
            Self::Leader(stream) => {
                let mut stream = rig.jetstream().await?.get_stream(stream).await?;
                let cluster = stream.info().await?.cluster.as_ref().ok_or("a cluster")?;
                cluster.leader.clone().ok_or("a leader")?
            }
            Self::MetaLeader => {
                let url = format!("http://{}/jsz", rig.address("nats-1", 8222)?);
                let said: Value = reqwest::get(url).await?.json().await?;
                said["meta_cluster"]["leader"].as_str().ok_or("a meta leader")?.to_owned()
            }
        };
        assert!(rig.brokers().contains(&name.as_str()), "{name} is no broker");
        Ok(Some(name))
    }
}
