//! What is made to go wrong, drawn from a seed: three tracks that know nothing of each other, so that faults meet.

mod brokers;
mod network;
mod services;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use fastrand::Rng;
use laban_tests::Outcome;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::world::{Brokers, World};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// An instance is killed, and started again.
    KillInstance,
    /// Both instances of a service are killed.
    KillService,
    /// An instance stands still for half to three times as long as the broker waits for it.
    FreezeInstance,
    /// All instances are stopped and started again, one after the other.
    RollServices,
    /// An instance's connections are cut.
    CutConnections,
    /// An instance cannot connect for a while.
    RefuseConnections,
    /// Nothing passes an instance's connections for a while, and nobody is told.
    StallConnections,
    /// Everything passes slowly.
    SlowConnections,
    /// A broker is killed, and started again.
    KillBroker,
    /// A broker stands still, past an election where there is one.
    FreezeBroker,
    /// A stream, a consumer or the cluster itself is told to elect another leader.
    StepDown,
    /// A handler's consumer is deleted.
    DeleteConsumer,
    /// A broker's disk is full for a while.
    FillDisk,
    /// All brokers are stopped and started again, one after the other.
    RollBrokers,
}

/// What was done so far.
#[derive(Default)]
pub(crate) struct Done {
    counts: Mutex<BTreeMap<Fault, u64>>,
    zombies: Mutex<Zombies>,
    /// Faults that could not be had here, with the reason.
    notes: Mutex<Vec<String>>,
}

/// Instances that were frozen for longer than the broker waits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Zombies {
    pub(crate) woken: u64,
    /// Those that lost a fence, or found their work done, when they went on.
    pub(crate) refused: u64,
}

impl Done {
    fn count(&self, fault: Fault) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    fn zombie(&self, refused: bool) {
        let mut zombies = self.zombies.lock().unwrap_or_else(PoisonError::into_inner);
        zombies.woken += 1;
        zombies.refused += u64::from(refused);
    }

    fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<Fault, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn zombies(&self) -> Zombies {
        *self.zombies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes things go wrong for so long, and then mends everything.
pub(crate) async fn trouble(
    world: &World,
    brokers: &mut Brokers,
    client: &Client,
    seed: u64,
    duration: Duration,
    done: &Done,
) -> Outcome {
    let until = Instant::now() + duration;
    // A seed of its own for each track: what one draws does not depend on how far another has come.
    let track = |number: u64| {
        let mut schedule = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(number));
        Track { rng: schedule.fork(), schedule, until, done }
    };
    tokio::try_join!(
        services::trouble(track(1), world),
        network::trouble(track(2), world),
        brokers::trouble(track(3), brokers, client),
    )?;
    world.heal()?;
    brokers.ready().await?;
    world.ready().await
}

/// Faults one after the other.
struct Track<'d> {
    /// What the faults themselves are drawn from.
    schedule: Rng,
    /// What the details of the present fault are drawn from. One of its own for each: however many are drawn, the next
    /// fault is the same.
    rng: Rng,
    until: Instant,
    done: &'d Done,
}

impl Track<'_> {
    /// The next fault, after a pause of up to `most`; nothing when the time is over. Each fault has a weight.
    async fn next(&mut self, most: Duration, of: &[(Fault, u32)]) -> Option<Fault> {
        self.rng = self.schedule.fork();
        let pause = self.between(most / 5, most);
        if Instant::now() + pause >= self.until {
            return None;
        }
        sleep(pause).await;
        let total: u32 = of.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.schedule.u32(..total);
        let fault = of.iter().find(|(_, weight)| {
            let hit = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            hit
        });
        fault.map(|(fault, _)| *fault)
    }

    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + (most - least).mul_f64(self.rng.f64())
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        self.rng.choice(of)
    }
}
