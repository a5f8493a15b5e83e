//! How a cluster is to be.

use std::path::PathBuf;

use crate::broker::{Node, Ports};
use crate::ports::{self, Port};
use crate::tools::Tool;
use crate::{Broker, BrokerBuilder, Cluster, Error};

/// How to start a [`Cluster`]: see [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    nodes: usize,
    ports: Vec<u16>,
    store_dir: Option<PathBuf>,
    log_dir: Option<PathBuf>,
    each: BrokerBuilder,
    own: Vec<(usize, String)>,
    advertise: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            nodes: 3,
            ports: Vec::new(),
            store_dir: None,
            log_dir: None,
            each: Broker::builder(),
            own: Vec::new(),
            advertise: true,
        }
    }

    /// Has so many nodes; otherwise three. Two are the least that the server takes for a cluster.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Listens for clients on these ports, one for each node in turn; nodes for which there is none, on free ones.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Keeps streams in this folder, which stays, with a folder for each node (`n1` …); otherwise in temporary ones.
    #[must_use]
    pub fn store_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.store_dir = Some(dir.into());
        self
    }

    /// Appends the servers' logs to files in this folder (`n1.log` …); otherwise to temporary ones.
    #[must_use]
    pub fn log_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.log_dir = Some(dir.into());
        self
    }

    /// Adds text to the configuration of every node. Names, addresses, ports, routes and stores are set by flags, which
    /// win over it.
    #[must_use]
    pub fn config(mut self, text: impl AsRef<str>) -> Self {
        self.each = self.each.config(text);
        self
    }

    /// Adds text to the configuration of one node, after what all have; the first is 0. Tags, for example, by which
    /// streams are placed: `server_tags: ["az:eu-1"]`.
    #[must_use]
    pub fn node_config(mut self, i: usize, text: impl Into<String>) -> Self {
        self.own.push((i, text.into()));
        self
    }

    /// Writes every message through to the disk before it is acknowledged: see [`BrokerBuilder::sync_always`].
    #[must_use]
    pub fn sync_always(mut self) -> Self {
        self.each = self.each.sync_always();
        self
    }

    /// Keeps the nodes from telling clients of each other (`cluster { no_advertise: true }`), so that a client goes
    /// where it was sent, through a [`Proxy`](crate::Proxy) for example, and nowhere else.
    #[must_use]
    pub fn no_advertise(mut self) -> Self {
        self.advertise = false;
        self
    }

    /// Starts all nodes and waits until the cluster is [ready](Cluster::ready).
    ///
    /// # Errors
    ///
    /// As [`BrokerBuilder::start`], and as [`Cluster::ready`].
    pub async fn start(self) -> Result<Cluster, Error> {
        let program = Tool::NatsServer.find_async().await?;
        if let Some(dir) = &self.log_dir {
            std::fs::create_dir_all(dir).map_err(Error::io(format!("create {}", dir.display())))?;
        }
        let cluster = ports::on_free_ports(async || {
            let cluster = Cluster { nodes: self.spawn(&program)? };
            for node in &cluster.nodes {
                node.until_ready().await?;
            }
            Ok(cluster)
        })
        .await?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// All at once: they look for each other as soon as they are there, and again only after a second.
    fn spawn(&self, program: &std::path::Path) -> Result<Vec<Broker>, Error> {
        let routes = (0..self.nodes).map(|_| Port::free()).collect::<Result<Vec<_>, _>>()?;
        let numbers: Vec<u16> = routes.iter().map(Port::number).collect();
        let start = |(i, route): (usize, Port)| {
            let name = super::name(i);
            let settings = self.settings(i, &name);
            let others = numbers.iter().copied().filter(|other| *other != route.number()).collect();
            let node = Node { name, route, others, advertise: self.advertise };
            let ports = Ports::pick(&settings)?;
            Broker::spawn(settings, program.to_owned(), ports, Some(node))
        };
        routes.into_iter().enumerate().map(start).collect()
    }

    fn settings(&self, i: usize, name: &str) -> BrokerBuilder {
        let mut settings = self.each.clone();
        for (_, text) in self.own.iter().filter(|(node, _)| *node == i) {
            settings = settings.config(text);
        }
        if let Some(port) = self.ports.get(i) {
            settings = settings.port(*port);
        }
        if let Some(dir) = &self.store_dir {
            settings = settings.store_dir(dir.join(name));
        }
        if let Some(dir) = &self.log_dir {
            settings = settings.log_file(dir.join(format!("{name}.log")));
        }
        settings
    }
}
