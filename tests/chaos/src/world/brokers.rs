use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_nats::Client;
use laban_testkit::{Broker, Cluster, Signal, SmallDisk};
use laban_tests::Outcome;
use tempfile::TempDir;

use crate::Profile;

/// What one broker's disk holds when it is a small one. A run of ten thousand orders fills a tenth of it.
const DISK_BYTES: u64 = 3 << 30;

/// The broker, or three of them. Each has its store in a folder of its own; the last one's is on a small disk, where such
/// a thing can be had.
pub(crate) struct Brokers {
    // Before the disk: fields are dropped in order, and brokers write there.
    nodes: Nodes,
    _stores: TempDir,
    disk: Result<SmallDisk, String>,
}

enum Nodes {
    Cluster(Cluster),
    Single(Box<Broker>),
}

impl Brokers {
    pub(crate) async fn start(profile: Profile, logs: &Path) -> Outcome<Self> {
        let disk = SmallDisk::mount(DISK_BYTES).map_err(|error| error.to_string());
        let small = disk.as_ref().ok().map(|disk| disk.path().join("store"));
        let stores = tempfile::Builder::new().prefix("laban-chaos-stores-").tempdir()?;
        let nodes = match profile {
            Profile::Cluster => {
                if let Some(small) = small {
                    std::fs::create_dir_all(&small)?;
                    std::os::unix::fs::symlink(small, stores.path().join(format!("n{}", profile.brokers())))?;
                }
                let cluster = Cluster::builder().nodes(profile.brokers()).sync_always().no_advertise();
                let cluster = cluster.log_dir(logs).store_dir(stores.path()).start().await?;
                Nodes::Cluster(cluster)
            }
            Profile::Single => {
                let broker = Broker::builder().sync_always().log_file(logs.join("n1.log"));
                let store = small.unwrap_or_else(|| stores.path().join("n1"));
                Nodes::Single(Box::new(broker.store_dir(store).start().await?))
            }
        };
        Ok(Self { nodes, _stores: stores, disk })
    }

    fn all(&self) -> Vec<&Broker> {
        match &self.nodes {
            Nodes::Cluster(cluster) => (0..cluster.len()).map(|index| cluster.node(index)).collect(),
            Nodes::Single(broker) => vec![broker],
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all().len()
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.all().iter().map(|broker| SocketAddr::from(([127, 0, 0, 1], broker.port()))).collect()
    }

    /// A connection past all proxies, to whichever is there.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        let urls: Vec<String> = self.all().iter().map(|broker| broker.url()).collect();
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(100))
            .request_timeout(Some(Duration::from_secs(3)));
        Ok(options.connect(urls).await?)
    }

    pub(crate) fn kill(&mut self, index: usize) {
        match &mut self.nodes {
            Nodes::Cluster(cluster) => cluster.kill(index),
            Nodes::Single(broker) => broker.kill(),
        }
    }

    pub(crate) async fn stop(&mut self, index: usize) -> Outcome {
        match &mut self.nodes {
            Nodes::Cluster(cluster) => cluster.stop(index).await?,
            Nodes::Single(broker) => broker.stop().await?,
        }
        Ok(())
    }

    pub(crate) async fn start_again(&mut self, index: usize) -> Outcome {
        match &mut self.nodes {
            Nodes::Cluster(cluster) => cluster.start_again(index).await?,
            Nodes::Single(broker) => broker.start_again().await?,
        }
        Ok(())
    }

    pub(crate) fn freeze(&self, index: usize) -> Outcome {
        self.signal(index, Signal::Stop)
    }

    pub(crate) fn thaw(&self, index: usize) -> Outcome {
        self.signal(index, Signal::Cont)
    }

    fn signal(&self, index: usize, signal: Signal) -> Outcome {
        match self.all().get(index) {
            Some(broker) => Ok(broker.process().signal(signal)?),
            None => Ok(()),
        }
    }

    /// Waits until all of them work together.
    pub(crate) async fn ready(&mut self) -> Outcome {
        match &mut self.nodes {
            Nodes::Cluster(cluster) => cluster.ready().await?,
            // A single one is ready as soon as it has started.
            Nodes::Single(_) => {}
        }
        Ok(())
    }

    /// The small disk, which is that of the last broker.
    pub(crate) fn disk(&self) -> Result<&SmallDisk, String> {
        self.disk.as_ref().map_err(Clone::clone)
    }
}
