//! The conversation with the new build.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use laban_flow::replay::shadow::Reaction;
use laban_wire::EventId;
use laban_wire::contract::Contract;
use laban_wire::shadow::{self, Answer, Hello, MAX_FRAME_BYTES, MAX_HELLO_BYTES, PROTOCOL, Ran, Ready};
use tokio::io::BufReader;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::child::Child;
use crate::Failure;

/// How long whoever connects may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
/// How long a handler runs at most that does not say so.
const TIMEOUT_MS: u64 = 60_000;
/// How much longer than the longest handler the build may be silent.
const GRACE: Duration = Duration::from_secs(30);

/// A secret that only the command is told.
pub(super) fn token() -> String {
    // 74 random bits each.
    format!("{}{}", EventId::root(), EventId::root())
}

/// Where the build is awaited.
pub(super) struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    pub(super) async fn open() -> Result<Self, Failure> {
        let unable = |error: io::Error| Failure::NotDone(format!("cannot listen on loopback: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unable)?;
        let address = listener.local_addr().map_err(unable)?;
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the build.
    pub(super) async fn admit(self, token: &str, child: &Child, within: Duration) -> Result<Build, Failure> {
        let failure = tokio::select! {
            biased;
            build = self.hear(token) => match build {
                Ok(build) => return Ok(build),
                Err(refusal) => return Err(refusal),
            },
            () = child.ended() => "the command has ended without saying that it is a service's build".to_owned(),
            () = tokio::time::sleep(within) => format!(
                "the command has not reported within {} s: is it a service's build, of a release of Laban that knows `replay \
                 shadow`? `--start-within` waits longer",
                within.as_secs_f64()
            ),
        };
        Err(child.blamed(Failure::NotDone(failure)).await)
    }

    /// Hears whoever comes, one after the other, until one proves that it is the build.
    async fn hear(&self, token: &str) -> Result<Build, Failure> {
        loop {
            let Ok((mut connection, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let greeting = shadow::read::<serde_json::Value>(&mut connection, MAX_HELLO_BYTES);
            let Ok(Ok(Some(hello))) = tokio::time::timeout(GREETING, greeting).await else { continue };
            if hello["token"].as_str() == Some(token) {
                return Build::of(connection, hello);
            }
        }
    }
}

/// A build that answers.
pub(super) struct Build {
    /// Its handlers.
    pub(super) contract: Contract,
    to: AsyncMutex<OwnedWriteHalf>,
    heard: Arc<Mutex<Heard>>,
    calls: AtomicU64,
    /// The longest silence that is none.
    patience: Duration,
    reading: JoinHandle<()>,
}

/// What is heard of it.
struct Heard {
    waiting: HashMap<u64, oneshot::Sender<Ran>>,
    last: Instant,
    /// Why nothing more will be.
    ended: Option<String>,
}

impl Build {
    fn of(connection: TcpStream, hello: serde_json::Value) -> Result<Self, Failure> {
        let protocol = hello["protocol"].as_u64();
        if protocol != Some(u64::from(PROTOCOL)) {
            let found = protocol.map_or_else(|| "unknown".to_owned(), |protocol| protocol.to_string());
            return Err(Failure::NotDone(format!(
                "the build speaks version {found} of the shadow's protocol, this program {PROTOCOL}: use the `laban` of the \
                 release that it is built with{}",
                hello["laban"].as_str().map(|release| format!(", {release}")).unwrap_or_default()
            )));
        }
        let hello: Hello = serde_json::from_value(hello)
            .map_err(|error| Failure::NotDone(format!("the build's greeting cannot be read: {error}")))?;
        let contract = match hello.ready {
            Ready::Contract(contract) => *contract,
            Ready::Refused(reason) => return Err(Failure::NotDone(reason)),
        };
        let limits = contract.handlers.iter().map(|handler| handler.timeout_ms.unwrap_or(TIMEOUT_MS));
        let patience = Duration::from_millis(limits.max().unwrap_or(TIMEOUT_MS)).saturating_add(GRACE);
        let heard =
            Arc::new(Mutex::new(Heard { waiting: HashMap::new(), last: Instant::now(), ended: None }));
        let (from, to) = connection.into_split();
        let reading = tokio::spawn(read(from, Arc::clone(&heard)));
        Ok(Self { contract, to: AsyncMutex::new(to), heard, calls: AtomicU64::new(0), patience, reading })
    }

    /// Has a reaction run again.
    pub(super) async fn run(&self, reaction: &Reaction) -> Result<Ran, Failure> {
        let call = reaction.call(self.calls.fetch_add(1, Ordering::Relaxed));
        let (sender, mut answer) = oneshot::channel();
        {
            let mut heard = lock(&self.heard);
            if let Some(ended) = &heard.ended {
                return Err(lost(ended));
            }
            if heard.waiting.is_empty() {
                heard.last = Instant::now();
            }
            heard.waiting.insert(call.id, sender);
        }
        let written = shadow::write(&mut *self.to.lock().await, &call).await;
        match written {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                lock(&self.heard).waiting.remove(&call.id);
                return Ok(Ran::Not(format!("what it is to be run on cannot be sent: {error}")));
            }
            Err(error) => return Err(self.lost(&error.to_string())),
            Ok(()) => {}
        }
        loop {
            let silent_at = lock(&self.heard).last + self.patience;
            tokio::select! {
                ran = &mut answer => return ran.map_err(|_| self.lost("it is gone")),
                () = tokio::time::sleep_until(silent_at) => {
                    if lock(&self.heard).last + self.patience <= Instant::now() {
                        return Err(Failure::NotDone(format!(
                            "the build has not answered for {} s, at handler `{}` in flow {:?}",
                            self.patience.as_secs(),
                            reaction.about.handler,
                            reaction.about.flow
                        )));
                    }
                }
            }
        }
    }

    fn lost(&self, error: &str) -> Failure {
        let ended = lock(&self.heard).ended.clone();
        lost(ended.as_deref().unwrap_or(error))
    }
}

fn lost(reason: &str) -> Failure {
    Failure::NotDone(format!("the build has stopped answering ({reason})"))
}

impl Drop for Build {
    fn drop(&mut self) {
        // With this the connection ends, and the build with it.
        self.reading.abort();
    }
}

/// Hands out answers until there are no more.
async fn read(from: OwnedReadHalf, heard: Arc<Mutex<Heard>>) {
    let mut from = BufReader::new(from);
    let ended = loop {
        match shadow::read::<Answer>(&mut from, MAX_FRAME_BYTES).await {
            Ok(Some(answer)) => {
                let mut heard = lock(&heard);
                heard.last = Instant::now();
                if let Some(waiting) = heard.waiting.remove(&answer.id) {
                    // Nobody may wait any more.
                    let _ = waiting.send(answer.ran);
                }
            }
            Ok(None) => break "it closed the connection".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    let mut heard = lock(&heard);
    heard.ended = Some(ended);
    heard.waiting.clear();
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
