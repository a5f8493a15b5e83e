//! A broker that can be weighed.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use laban_testkit::Broker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::driver::rss_bytes;
use crate::error::{Doing as _, Error, Result};

/// Memory that was freed goes back to the system little by little: gone when it has not become less for so long.
const STILL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(500);

/// A broker that serves Go's profiles, which is how it is told to collect its garbage.
pub(super) struct Profiled {
    broker: Broker,
    port: u16,
}

impl Profiled {
    pub(super) async fn start() -> Result<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = free.doing("find a free port for profiles")?.port();
        let broker = Broker::builder().config(format!("prof_port: {port}")).start().await?;
        Ok(Self { broker, port })
    }

    pub(super) fn broker(&self) -> &Broker {
        &self.broker
    }

    pub(super) fn url(&self) -> String {
        self.broker.url()
    }

    pub(super) async fn restart(&mut self) -> Result<()> {
        Ok(self.broker.restart().await?)
    }

    /// What it has resident.
    pub(super) fn rss(&self) -> Result<u64> {
        rss_bytes(self.broker.pid())
    }

    /// Collects its garbage, waits until the system has got back what it gets, and returns what is in use.
    pub(super) async fn collected(&self) -> Result<u64> {
        // What the first collection finds dead to finalizers, the second frees.
        self.heap().await?;
        let heap = self.heap().await?;
        let (mut least, mut still) = (self.rss()?, Duration::ZERO);
        while still < STILL {
            tokio::time::sleep(LOOK).await;
            still += LOOK;
            let now = self.rss()?;
            // By more than noise.
            if now < least - least / 200 {
                (least, still) = (now, Duration::ZERO);
            }
        }
        Ok(heap)
    }

    /// Bytes of objects in use, after a collection.
    async fn heap(&self) -> Result<u64> {
        let asked = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(b"GET /debug/pprof/heap?gc=1&debug=1 HTTP/1.0\r\n\r\n").await?;
            let mut profile = Vec::new();
            stream.read_to_end(&mut profile).await.map(|_| profile)
        };
        let profile = asked.await.doing("ask the broker for its heap")?;
        let profile = String::from_utf8_lossy(&profile);
        let line = profile.lines().find_map(|line| line.strip_prefix("# HeapAlloc = "));
        let heap = line.and_then(|bytes| bytes.trim().parse().ok());
        heap.ok_or_else(|| Error::new("the broker's profile does not say how large its heap is"))
    }
}

/// What all files in a folder take.
pub(super) fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    /// What `st_blocks` counts, whatever the file system's own blocks are.
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).doing(format_args!("read {}", folder.display()))? {
        let entry = entry.doing("read a folder")?;
        let metadata = entry.metadata().doing("look at a file")?;
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * BLOCK };
    }
    Ok(bytes)
}
