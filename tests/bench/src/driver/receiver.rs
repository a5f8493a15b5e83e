//! A receiver of spans, in a process of its own: OTLP over gRPC, which counts and forgets.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::child::{Child, Program};
use super::otlp::Endpoint;
use crate::error::{Doing as _, Error, Result};

/// The receiver, as the driver sees it.
pub(super) struct Receiver {
    child: Child,
    url: String,
}

impl Receiver {
    /// Starts it: this very program once more.
    pub(super) async fn start(logs: &std::path::Path) -> Result<Self> {
        let path = super::build::contestant(super::entrant::Allocator::System)?;
        let mut child = Child::start(Program {
            name: "receiver".to_owned(),
            path: &path,
            args: vec!["receiver".to_owned()],
            env: Vec::new(),
            logs,
        })?;
        let port = child.hear("port").await?;
        Ok(Self { child, url: format!("http://127.0.0.1:{port}") })
    }

    /// Where spans go.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How many spans have arrived.
    pub(super) async fn spans(&mut self) -> Result<u64> {
        self.child.say("spans").await?;
        let spans = self.child.hear("spans").await?;
        spans.as_u64().ok_or_else(|| Error::new(format!("the receiver counted {spans} spans")))
    }
}

/// The receiver's own `main`: says its port, and the count whenever it is asked.
pub(crate) async fn serve() -> Result<()> {
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).doing("listen for spans")?;
    let port = incoming.local_addr().doing("listen for spans")?.port();
    let spans = Arc::<AtomicU64>::default();
    let server = Server::builder()
        .add_service(Endpoint::<true>(Arc::clone(&spans)))
        .add_service(Endpoint::<false>::default());
    tokio::spawn(server.serve_with_incoming(incoming));
    say(&format!("{{\"port\":{port}}}"))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await.doing("hear the driver")?.is_some() {
        say(&format!("{{\"spans\":{}}}", spans.load(Ordering::Relaxed)))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).doing("tell the driver")
}
