//! Several real nats-servers as one.

mod builder;
mod health;
mod placing;

use std::time::Duration;

pub use self::builder::Builder;
use crate::{Broker, Error, Signal, wait};

/// An election takes up to nine seconds, and may have to be repeated.
const READY: Duration = Duration::from_secs(60);

/// Real nats-servers on 127.0.0.1 that form one JetStream cluster; killed on drop.
///
/// Each node is a [`Broker`] whose server is named `n1`, `n2` … It keeps its ports and its store over restarts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use laban_testkit::Cluster;
///
/// let mut cluster = Cluster::start().await?;
/// let client = async_nats::connect(cluster.urls()).await?;
///
/// cluster.kill(0);                 // as a crash would
/// cluster.ready().await?;          // the other two are a cluster still
/// client.publish("greetings", "hello".into()).await?;
/// client.flush().await?;
///
/// cluster.start_again(0).await?;   // same ports, same store
/// cluster.ready().await?;          // all three again
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// All methods that take the number of a node panic if there is none with it; the first is 0.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Broker>,
}

impl Cluster {
    /// Starts a cluster of three with free ports and temporary stores.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Begins the description of a cluster.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// What a client may connect to: one for each node, running or not.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Broker::url).collect()
    }

    /// All [`urls`](Self::urls) in one, separated by commas, as `NATS_URL` takes them.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().join(",")
    }

    /// How many nodes it has, running or not.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, i: usize) -> &Broker {
        &self.nodes[i]
    }

    /// The number of the node whose server has this name: in a stream's `cluster.leader`, for example.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<usize> {
        (0..self.len()).find(|i| self::name(*i) == name)
    }

    /// Kills a node, as a crash would.
    pub fn kill(&mut self, i: usize) {
        self.nodes[i].kill();
    }

    /// Asks a node to end, and waits until it has. It hands over first what it leads.
    ///
    /// # Errors
    ///
    /// As [`Broker::stop`].
    pub async fn stop(&mut self, i: usize) -> Result<(), Error> {
        self.nodes[i].stop().await
    }

    /// Asks all nodes to end, at once, and waits until they have.
    ///
    /// # Errors
    ///
    /// As [`Broker::stop`].
    pub async fn stop_all(&mut self) -> Result<(), Error> {
        for node in &self.nodes {
            node.process().signal(Signal::Term)?;
        }
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    /// Starts a stopped or killed node on the same ports and store, and waits until it serves clients; a running one is
    /// killed first.
    ///
    /// It has its streams and its part in them only when enough of the others are there: see [`ready`](Self::ready).
    ///
    /// # Errors
    ///
    /// As [`Broker::start_again`].
    pub async fn start_again(&mut self, i: usize) -> Result<(), Error> {
        self.nodes[i].start_again().await
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Errors
    ///
    /// As both.
    pub async fn restart(&mut self, i: usize) -> Result<(), Error> {
        self.nodes[i].restart().await
    }

    /// Freezes a node: its connections stay open, and nothing comes from it until [`thaw`](Self::thaw).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses.
    pub fn freeze(&self, i: usize) -> Result<(), Error> {
        self.nodes[i].process().signal(Signal::Stop)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the system refuses.
    pub fn thaw(&self, i: usize) -> Result<(), Error> {
        self.nodes[i].process().signal(Signal::Cont)
    }

    /// Waits until all nodes that run are healthy and follow one meta leader that sees them all, and all streams and
    /// consumers that they have a part in have a leader and a majority. If all nodes run, new streams find a place, too.
    /// A frozen node runs, and is not healthy. Nobody can promise that no election comes right after.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] says what is lacking after a minute: half of the nodes, for example, never get there.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut lacks = String::new();
        let ready = wait::until("the cluster", READY, async || match health::lacks(&self.nodes).await {
            None => true,
            Some(lacking) => {
                lacks = lacking;
                false
            }
        });
        ready
            .await
            .map(drop)
            .map_err(|_| Error::TimedOut { what: format!("the cluster to be ready: {lacks}"), waited: READY })
    }

    /// The number of the node that leads the cluster's own group, which places streams and consumers, if there is one
    /// and it runs.
    pub async fn meta_leader(&self) -> Option<usize> {
        let leader = health::meta_leader(&self.nodes).await?;
        self.named(&leader)
    }
}

/// The name of a node's server.
fn name(i: usize) -> String {
    format!("n{}", i + 1)
}
