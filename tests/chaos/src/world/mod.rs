//! What is troubled: brokers, two instances of each of the shop's services, and a proxy between each instance and each
//! broker.

mod brokers;
mod counters;
mod instance;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use demo::{Service, program};
use fastrand::Rng;
use laban_testkit::{Proxy, wait};
use laban_tests::Outcome;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) use self::brokers::Brokers;
pub(crate) use self::counters::Counters;
pub(crate) use self::instance::Instance;
use crate::{Fence, Settings};

/// How long the broker waits for an acknowledgement.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(3);
/// How long a handler waits between its entry in the books and its outcome: where a crash, or a freeze, leaves one without
/// the other.
const PAUSE: Duration = Duration::from_millis(10);
/// After this the order service gives up on a payment. As long as the longest faults, so that some are overdue for no fault
/// of the bank's.
const PAYMENT_DEADLINE: Duration = Duration::from_secs(10);
/// Instances of each service.
const INSTANCES: usize = 2;
/// How long ten processes may take to start.
const READY: Duration = Duration::from_secs(90);
/// How soon an instance that ended by itself is started again.
const SUPERVISE: Duration = Duration::from_millis(100);

/// The shop's processes, and what they need. Everything is ended on drop.
pub(crate) struct World {
    pub(crate) instances: Vec<Instance>,
    books: std::path::PathBuf,
    _folder: TempDir,
}

impl World {
    /// Starts all instances, and waits until each is ready.
    pub(crate) async fn start(brokers: &Brokers, settings: &Settings, logs: &Path) -> Outcome<Arc<Self>> {
        let folder = tempfile::Builder::new().prefix("laban-chaos-").tempdir()?;
        let books = folder.path().join("books");
        let mut instances = Vec::new();
        for index in 0..INSTANCES {
            for service in Service::ALL {
                let mut proxies = Vec::new();
                for address in brokers.addresses() {
                    proxies.push(Proxy::start(address).await?);
                }
                let program = match settings.fence {
                    Fence::On => service.program()?,
                    Fence::Off => program(
                        "shop-with-faults",
                        "-p laban-tests --features laban-tests/faults --bin shop-with-faults",
                    )?,
                };
                let instance = Instance::new(service, index, program, proxies, logs)?
                    .env("SHOP_BOOKS_DIR", books.display())
                    .env("SHOP_PAUSE_MS", PAUSE.as_millis())
                    .env("SHOP_PAYMENT_DEADLINE_MS", PAYMENT_DEADLINE.as_millis())
                    .env("LABAN_ACK_WAIT_MS", ACK_WAIT.as_millis())
                    .env("LABAN_REPLICAS", settings.profile.brokers())
                    .env("OTEL_TRACES_EXPORTER", "none")
                    .env("OTEL_METRICS_EXPORTER", "none")
                    .env("RUST_LOG", "info");
                instances.push(match settings.fence {
                    Fence::On => instance,
                    Fence::Off => {
                        instance.env("SHOP_SERVICE", service.name()).env("LABAN_FAULTS", "fence=off")
                    }
                });
            }
        }
        let world = Self { instances, books, _folder: folder };
        for instance in &world.instances {
            instance.start()?;
        }
        world.ready().await?;
        Ok(Arc::new(world))
    }

    /// Waits until every instance says that it is ready.
    pub(crate) async fn ready(&self) -> Outcome {
        for instance in &self.instances {
            let ready = wait::until(format!("{} to be ready", instance.name()), READY, async || {
                instance.is_ready().await
            });
            ready.await.map_err(|error| format!("{error}\n{}", instance.log_tail()))?;
        }
        Ok(())
    }

    /// Starts again what ends by itself, as whoever runs services does, until told to stop.
    pub(crate) async fn supervise(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            for instance in &self.instances {
                instance.revive();
                instance.scrape_now_and_then().await;
            }
            tokio::time::sleep(SUPERVISE).await;
        }
    }

    /// Ends everything that was made to go wrong with the instances: all run, thawed, over connections that work.
    pub(crate) fn heal(&self) -> Outcome {
        for instance in &self.instances {
            instance.heal()?;
        }
        Ok(())
    }

    /// Where orders are placed.
    pub(crate) fn doors(&self) -> Doors {
        Doors(self.instances.iter().filter_map(Instance::door).collect())
    }

    /// The folder of the shop's books.
    pub(crate) fn books(&self) -> &Path {
        &self.books
    }

    /// What all instances counted, those that are gone included: at least as much as there was.
    pub(crate) fn counters(&self) -> Counters {
        self.instances.iter().map(Instance::counters).sum()
    }

    /// Instances that ended by themselves, with the last words of each.
    pub(crate) fn ended_by_themselves(&self) -> Vec<String> {
        self.instances.iter().flat_map(Instance::ended_by_itself).collect()
    }
}

/// Where orders are placed: one address for each instance of the order service.
#[derive(Clone, Debug)]
pub(crate) struct Doors(Vec<String>);

impl Doors {
    /// One of them, whether anybody is there or not.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<String> {
        rng.choice(&self.0).cloned()
    }
}
