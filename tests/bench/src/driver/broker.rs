//! The broker: one node, or a cluster of three on this machine.

use std::net::TcpListener;

use laban_testkit::Broker;

use super::proc;
use crate::error::{Doing as _, Error, Result};

/// One or more nodes, with fresh stores; they end when this is dropped.
pub(super) struct Brokers(Vec<Broker>);

impl Brokers {
    /// Starts so many nodes, and waits until they serve JetStream: those of a cluster have elected a leader by then.
    pub(super) async fn start(nodes: usize) -> Result<Self> {
        match nodes {
            1 => Ok(Self(vec![Broker::start().await?])),
            3 => {
                let ports = free_ports()?;
                let [a, b, c] =
                    [0, 1, 2].map(|node| Broker::builder().config(clustered(node, ports)).start());
                let (a, b, c) = tokio::try_join!(a, b, c)?;
                Ok(Self(vec![a, b, c]))
            }
            _ => Err(Error::new(format!("a broker of {nodes} nodes is not provided for"))),
        }
    }

    /// Where clients connect: any of these.
    pub(super) fn urls(&self) -> String {
        self.0.iter().map(Broker::url).collect::<Vec<_>>().join(",")
    }

    /// Seconds of CPU used so far, by all nodes.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.0.iter().map(|node| proc::cpu_seconds(node.pid())).sum()
    }
}

/// Three ports that were free just now. A server picks its client port itself, but must know its peers' ports beforehand.
fn free_ports() -> Result<[u16; 3]> {
    let bound = [0, 1, 2].map(|_| TcpListener::bind(("127.0.0.1", 0)));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(bound) {
        let address = listener.and_then(|listener| listener.local_addr());
        *port = address.doing("find a free port for the cluster")?.port();
    }
    Ok(ports)
}

fn clustered(node: usize, ports: [u16; 3]) -> String {
    let routes = ports.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let port = ports[node];
    format!(
        "server_name: node-{node}\ncluster {{ name: bench, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}\n"
    )
}
