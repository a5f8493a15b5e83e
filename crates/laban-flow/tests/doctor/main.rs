//! The doctor at work: a small mesh on a real broker, in which one thing is not as it should be.

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail as loudly as the test")]

mod cluster;
mod consumers;
mod instances;
mod left;
mod permissions;
mod presence;
mod rig;
mod servers;
mod streams;

use laban_flow::doctor::Options;
use rig::{Outcome, Rig, named};

#[tokio::test]
async fn a_healthy_mesh_has_nothing_wrong_and_what_was_looked_at_is_counted() -> Outcome {
    let rig = Rig::healthy().await?;
    let examined = rig.examine().await;
    assert_eq!(named(&examined), [""; 0], "{examined:#?}");
    let all = examined.looked_at;
    assert_eq!((all.servers, all.services, all.instances, all.contracts), (1, 2, 2, 2));
    assert_eq!((all.streams, all.consumers, all.flows), (3, 2, 0));
    let unseen: Vec<_> = examined.unseen.iter().map(|one| one.remedy.as_str()).collect();
    assert_eq!(unseen, ["`--brokers http://<host>:8222`, for each of them"]);
    Ok(())
}

#[tokio::test]
async fn looking_leaves_nothing_behind() -> Outcome {
    let rig = Rig::healthy().await?;
    rig.place("4711").await?;
    let before = rig.all_there_is().await?;
    rig.examine_with(Options::default()).await;
    assert_eq!(rig.all_there_is().await?, before, "left: after; right: before");
    Ok(())
}
