//! A broker whose disk is full: the one trouble that gives no error.

use demo::Service;
use demo::orders::Plan;
use laban_testkit::{Broker, Error, Signal, SmallDisk};
use laban_tests::{Outcome, note};

use crate::rig::{Rig, has_prometheus, until};

const DISK_BYTES: u64 = 256 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_seen_and_what_waited_for_it_is_committed_late() -> Outcome {
    if !has_prometheus().await? {
        return Ok(());
    }
    let disk = match SmallDisk::mount(DISK_BYTES) {
        Ok(disk) => disk,
        Err(Error::NoDisk { why }) => {
            note(&format!("skipped, no small disk: {why}"));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut rig = Rig::start(Broker::builder().store_dir(disk.path()).start().await?).await?;
    let plan = Plan::plain(3, 75);
    rig.shop.serves(&plan).await?.assert_as_planned(&plan);
    until("all alerts to be silent, with something to be seen", async || {
        let seen = rig.api.count("increase(messaging_client_operation_duration_seconds_count[1m])").await;
        seen.is_ok_and(|found| found > 0) && rig.api.firing().await.is_ok_and(|firing| firing.is_empty())
    })
    .await?;

    // Payment has orders in hand when there is no room left.
    let payment = rig.shop.mesh.process(Service::Payment).ok_or("payment runs")?;
    payment.signal(Signal::Stop)?;
    let placed = rig.shop.place(&Plan::plain(200, 76)).await;
    disk.fill()?;
    payment.signal(Signal::Cont)?;
    // After 5 s: this commit is slow, whatever comes of it.
    rig.says(Service::Payment, "commit unknown").await?;
    rig.counts_failed_appends(Service::Payment, "unanswered").await?;
    rig.api.fires("LabanBrokerDown").await?;
    rig.api.fires("LabanCommitsStalled").await?;

    disk.free()?;
    // nats-server writes no more to a stream that it could not write to, until it is started again.
    rig.shop.mesh.broker_mut().restart().await?;
    rig.api.fires("LabanCommitsSlow").await?;
    rig.shop.settled(placed.iter().filter_map(|one| one.flow.as_ref())).await?;
    Ok(())
}
