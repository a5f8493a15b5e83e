//! Each alert, made to fire by what it is for.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use demo::Service;
use demo::orders::Plan;
use laban_testkit::Signal;
use laban_tests::Outcome;

use crate::files::Query;
use crate::live::answers;
use crate::quiet;
use crate::rig::{Rig, until};

/// Somebody else's stream, which takes all the room there is.
const FILLER: &str = "FILLER";
const FILLER_BYTES: usize = 512 * 1024;
/// Longer than what `LabanCommitsSlow` takes for slow.
const SLOW: Duration = Duration::from_secs(6);

/// Makes alerts fire, and returns their names.
pub(crate) async fn provoke(rig: &mut Rig, queries: &[Query]) -> Outcome<BTreeSet<&'static str>> {
    let mut provoked = BTreeSet::new();
    provoked.extend(full_storage(rig).await?);
    provoked.extend(no_collector(rig).await?);
    provoked.extend(bad_event(rig).await?);
    provoked.extend(no_shipping(rig, queries).await?);
    provoked.extend(no_broker(rig).await?);
    Ok(provoked)
}

/// Payment has orders in hand when the broker takes no more; and goes on when it does.
async fn full_storage(rig: &Rig) -> Outcome<[&'static str; 3]> {
    let payment = rig.shop.mesh.process(Service::Payment).ok_or("payment runs")?;
    payment.signal(Signal::Stop)?;
    let plan = Plan::plain(3, 72);
    let placed = rig.shop.place(&plan).await;

    let context = jetstream::new(rig.shop.mesh.client().await?);
    let config =
        stream::Config { name: FILLER.to_owned(), subjects: vec!["filler".to_owned()], ..Default::default() };
    context.create_stream(config).await?;
    let block = vec![b'x'; FILLER_BYTES];
    while context.publish("filler", block.clone().into()).await?.await.is_ok() {}
    payment.signal(Signal::Cont)?;
    rig.says(Service::Payment, "commit waits for the broker").await?;
    rig.counts_failed_appends(Service::Payment, "unavailable").await?;
    // What is slow is so by the clock: this commit is.
    tokio::time::sleep(SLOW).await;
    rig.api.fires("LabanStorageFilling").await?;
    rig.api.fires("LabanCommitsStalled").await?;

    context.delete_stream(FILLER).await?;
    rig.api.fires("LabanCommitsSlow").await?;
    // And nothing was lost: all orders end.
    rig.shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    Ok(["LabanStorageFilling", "LabanCommitsStalled", "LabanCommitsSlow"])
}

/// What takes the spans is away.
async fn no_collector(rig: &Rig) -> Outcome<[&'static str; 1]> {
    rig.spans.refuse();
    let plan = Plan::plain(1, 73);
    let placed = rig.shop.place(&plan).await;
    rig.shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    rig.api.fires("LabanSpansDropped").await?;
    rig.spans.accept();
    Ok(["LabanSpansDropped"])
}

/// An event that no handler can read.
async fn bad_event(rig: &Rig) -> Outcome<[&'static str; 1]> {
    let context = jetstream::new(rig.shop.mesh.client().await?);
    context.publish("order.placed.garbled", "no JSON".into()).await?.await?;
    rig.api.fires("LabanDeadLetters").await?;
    Ok(["LabanDeadLetters"])
}

/// A service is away while orders come in; then it is back.
async fn no_shipping(rig: &mut Rig, queries: &[Query]) -> Outcome<[&'static str; 3]> {
    rig.shop.mesh.kill_service(Service::Shipping);
    rig.api.fires("LabanServiceDown").await?;
    let plan = Plan::plain(120, 74);
    let placed = rig.shop.place(&plan).await;
    rig.api.fires("LabanLagGrowing").await?;
    rig.api.fires("LabanFlowsStuck").await?;
    // What says nothing while all is well does now.
    let speaks = |query: &&Query| {
        quiet::reason(&query.expression).is_some_and(|(_, alert)| alert == "LabanFlowsStuck")
    };
    for query in queries.iter().filter(speaks) {
        answers(&rig.api, query, ("shipping", "dispatch")).await?;
    }

    rig.shop.mesh.start_service(Service::Shipping)?;
    rig.shop.mesh.ready().await?;
    until("shipping to say where it serves", async || {
        rig.shop.metrics_address(Service::Shipping).is_ok_and(|_| rig.retarget().is_ok())
    })
    .await?;
    rig.shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    until("no flow to be stuck any more", async || {
        rig.api.firing().await.is_ok_and(|firing| !firing.iter().any(|one| one == "LabanFlowsStuck"))
    })
    .await?;
    Ok(["LabanServiceDown", "LabanLagGrowing", "LabanFlowsStuck"])
}

/// The broker dies.
async fn no_broker(rig: &mut Rig) -> Outcome<[&'static str; 2]> {
    rig.shop.mesh.broker_mut().kill();
    rig.api.fires("LabanBrokerDown").await?;
    rig.api.fires("LabanFlowsUnread").await?;
    Ok(["LabanBrokerDown", "LabanFlowsUnread"])
}
