//! A network that can be cut, silenced and slowed.

mod pump;
mod state;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::state::{Counted, State, Valve};
use crate::Error;

/// Before accepting again after an error: such errors (no more files, for example) do not go away at once.
const PAUSE: Duration = Duration::from_millis(20);

/// How a network is slow: see [`Proxy::slow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slow {
    /// How much later everything arrives, in each direction.
    pub delay: Duration,
    /// How much passes at most, for each connection and direction.
    pub bytes_per_second: Option<u64>,
}

/// A TCP proxy on a free port of 127.0.0.1, in front of one address: a network that can be cut, silenced and slowed.
///
/// A client must not know a way round it: a [`Cluster`](crate::Cluster) behind proxies should be started with
/// [`no_advertise`](crate::ClusterBuilder::no_advertise).
///
/// What it is told holds for all its connections, open and new, and takes effect at once. It ends, and resets them, on drop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use laban_testkit::{Broker, Proxy};
///
/// let broker = Broker::start().await?;
/// let proxy = Proxy::start(broker.addr()).await?;
/// let client = async_nats::connect(proxy.url()).await?;
///
/// proxy.cut();            // the client notices, and comes back through the proxy
/// proxy.stall();          // nothing arrives any more, and nobody is told
/// client.publish("greetings", "hello".into()).await?;
/// proxy.flow();           // now it does
/// client.flush().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Proxy {
    /// Starts a proxy in front of this address, where nobody needs to listen yet.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if there is no free port.
    pub async fn start(target: SocketAddr) -> Result<Self, Error> {
        let listen = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (addr, listener) = listen.await.map_err(Error::io("listen on a free port"))?;
        let state = Arc::new(watch::Sender::new(State::default()));
        tokio::spawn(accept(listener, target, Arc::clone(&state)));
        Ok(Self { addr, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a NATS client connects to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Resets all open connections. New ones are accepted.
    pub fn cut(&self) {
        self.state.send_modify(State::cut);
    }

    /// Resets all open connections, and new ones as they come, until [`accept`](Self::accept).
    pub fn refuse(&self) {
        self.state.send_modify(|state| {
            state.refusing = true;
            state.cut();
        });
    }

    /// Ends [`refuse`](Self::refuse).
    pub fn accept(&self) {
        self.state.send_modify(|state| state.refusing = false);
    }

    /// Lets no byte through, in either direction, nor the end of a connection, until [`flow`](Self::flow): a network
    /// that is silent. Connections stay open, and new ones are accepted.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.stalled = true);
    }

    /// Ends [`stall`](Self::stall). What was held back arrives, in order and whole.
    pub fn flow(&self) {
        self.state.send_modify(|state| state.stalled = false);
    }

    /// Slows everything down, or nothing any more. A quarter of a mebibyte at most is on its way in each direction of a
    /// connection, so a delay bounds the throughput too, as a window of TCP does.
    pub fn slow(&self, slow: Option<Slow>) {
        self.state.send_modify(|state| state.slow = slow);
    }

    /// How many connections are open now, from a client through to the target.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.borrow().open
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| {
            state.over = true;
            state.cut();
        });
    }
}

/// Takes in connections until the proxy is dropped.
async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<watch::Sender<State>>) {
    let mut valve = Valve::new(&state);
    loop {
        let accepted = tokio::select! {
            biased;
            () = valve.wait_for(|state| state.over) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (refusing, era) = {
            let state = state.borrow();
            (state.refusing, state.era)
        };
        if refusing {
            reset(&client);
        } else {
            tokio::spawn(connect(client, target, era, Arc::clone(&state)));
        }
    }
}

/// One connection, from its acceptance to its end.
async fn connect(mut client: TcpStream, target: SocketAddr, era: u64, state: Arc<watch::Sender<State>>) {
    let mut valve = Valve::new(&state);
    let mut server = None;
    let whole = async {
        let server = server.insert(TcpStream::connect(target).await?);
        // The proxy is not to hold anything back of its own accord.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let Some(_counted) = Counted::open(&state, era) else {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        };
        pump::both(&mut client, server, &state).await
    };
    let ended = tokio::select! {
        biased;
        () = valve.wait_for(|state| state.era != era) => Err(std::io::ErrorKind::ConnectionReset.into()),
        ended = whole => ended,
    };
    // An end in peace was passed on by the pump; any other is a reset, on both sides.
    if ended.is_err() {
        reset(&client);
        server.iter().for_each(reset);
    }
}

/// Makes the end of a connection a reset, which no one takes for an end in peace.
fn reset(stream: &TcpStream) {
    // Without it, it ends all the same.
    let _ = stream.set_zero_linger();
}
