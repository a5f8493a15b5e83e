//! What a broker has acknowledged is with the operating system. Whether it is on the disk is another question.

use laban_testkit::{Broker, BrokerBuilder, Error, PowerDisk};
use laban_tests::{Outcome, note};
use time::OffsetDateTime;

use crate::bench::*;
use crate::disk::{copy, put_back};

/// Enough for the few records of one flow, and a journal.
const DISK: u64 = 64 * 1024 * 1024;

/// A payment service that has been told of an order, and has charged for it.
struct Charged {
    broker: Broker,
    bench: Bench,
}

impl Charged {
    /// Calls `between` when the order is there, and before there is an outcome.
    async fn on<T>(broker: BrokerBuilder, between: impl FnOnce(&Broker) -> Outcome<T>) -> Outcome<(Self, T)> {
        let broker = broker.start().await?;
        let bench = Bench::of(&broker).await?;
        stop(bench.orders().await?).await?;
        stop(bench.payment(&Runs::default()).await?).await?;
        bench.place().await?;
        let between = between(&broker)?;
        let payment = bench.payment(&Runs::default()).await?;
        bench.until_records(1).await?;
        bench.until_settled("ORDER", CONSUMER).await?;
        stop(payment).await?;
        Ok((Self { broker, bench }, between))
    }

    /// How many outcomes are left, and what its broker says of when the first was stored.
    async fn outcomes(&self) -> Outcome<(usize, Option<OffsetDateTime>)> {
        let records = self.bench.records("payment").await?;
        Ok((records.len(), records.first().map(|record| record.at)))
    }
}

/// The system still has what a killed process has written.
#[tokio::test]
async fn a_broker_that_is_killed_loses_nothing() -> Outcome {
    let (mut charged, ()) = Charged::on(Broker::builder(), |_| Ok(())).await?;
    let before = charged.outcomes().await?;
    charged.broker.kill();
    charged.broker.start_again().await?;
    assert_eq!(charged.outcomes().await?, before, "what was acknowledged is there");
    charged.bench.deliver_again().await?;
    assert_eq!(charged.outcomes().await?, before, "and absorbs the second delivery");
    Ok(())
}

/// The store as it was between the order and the outcome: one of those that a power failure can leave, because the broker
/// syncs for the first time after a minute at the earliest.
#[tokio::test]
async fn a_store_that_was_not_synced_has_forgotten_an_acknowledged_outcome() -> Outcome {
    let between = |broker: &Broker| copy(broker.store_dir());
    let (mut charged, synced) = Charged::on(Broker::builder(), between).await?;
    let (_, first) = charged.outcomes().await?;
    charged.broker.kill();
    put_back(&synced, charged.broker.store_dir())?;
    charged.broker.start_again().await?;
    assert_eq!(charged.outcomes().await?, (0, None), "the outcome is gone");
    charged.bench.deliver_again().await?;
    let (left, second) = charged.outcomes().await?;
    assert_eq!(left, 1, "delivered again, it takes effect again");
    assert!(second > first, "expected it to be another one than {first:?}, it is {second:?}");
    Ok(())
}

/// A disk whose power is cut as soon as the outcome was acknowledged; nothing where there is no such disk.
async fn after_a_power_failure(
    broker: BrokerBuilder,
) -> Outcome<Option<(Charged, PowerDisk, OffsetDateTime)>> {
    let mut disk = match PowerDisk::mount(DISK) {
        Ok(disk) => disk,
        Err(Error::NoDisk { why }) => {
            note(&format!("skipped, no disk whose power can be cut: {why}"));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let store = disk.path().join("store");
    let (mut charged, ()) = Charged::on(broker.store_dir(store), |_| Ok(disk.sync()?)).await?;
    let (_, first) = charged.outcomes().await?;
    charged.broker.kill();
    disk.lose_power()?;
    charged.broker.start_again().await?;
    Ok(Some((charged, disk, first.ok_or("an outcome")?)))
}

/// `sync_interval` as a broker has it by default: two minutes.
#[tokio::test]
async fn a_power_failure_takes_an_outcome_that_was_acknowledged() -> Outcome {
    let Some((charged, _disk, first)) = after_a_power_failure(Broker::builder()).await? else {
        return Ok(());
    };
    assert_eq!(charged.outcomes().await?, (0, None), "the outcome is gone");
    charged.bench.deliver_again().await?;
    let (left, second) = charged.outcomes().await?;
    assert_eq!(left, 1, "delivered again, it takes effect again");
    assert!(second > Some(first), "expected it to be another one than {first}, it is {second:?}");
    Ok(())
}

#[tokio::test]
async fn with_sync_always_a_power_failure_takes_nothing() -> Outcome {
    let broker = Broker::builder().sync_always();
    let Some((charged, _disk, first)) = after_a_power_failure(broker).await? else { return Ok(()) };
    assert_eq!(charged.outcomes().await?, (1, Some(first)), "what was acknowledged is there");
    charged.bench.deliver_again().await?;
    assert_eq!(charged.outcomes().await?, (1, Some(first)), "and absorbs the second delivery");
    Ok(())
}
