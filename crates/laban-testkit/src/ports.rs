//! Ports that stay free for those they are meant for.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use crate::Error;

/// How often free ports may turn out to be taken before that is no coincidence.
const TRIES: usize = 5;

/// A port of 127.0.0.1, kept for a server also while that is down.
///
/// It is held by a socket that is bound and does not listen, so clients are refused as long as no server is there. The
/// system gives such a port to nobody who asks for a free one, and takes it for no connection of a client, not even one
/// to this very port.
///
/// ```
/// # fn main() -> Result<(), laban_testkit::Error> {
/// use std::net::TcpListener;
/// use laban_testkit::Port;
///
/// # tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(async {
/// let mut port = Port::free()?;
/// port.let_in();
/// let server = TcpListener::bind(("127.0.0.1", port.number()));
/// assert!(server.is_ok());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct Port {
    number: u16,
    held: Option<TcpSocket>,
}

impl Port {
    /// A free port.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the system has none.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn free() -> Result<Self, Error> {
        let bind = || {
            let socket = bound(0)?;
            Ok(Self { number: socket.local_addr()?.port(), held: Some(socket) })
        };
        bind().map_err(Error::io("find a free port"))
    }

    /// This port, or a free one. One that is taken is not held: its server will say so in its own words.
    pub(crate) fn wanted(number: Option<u16>) -> Result<Self, Error> {
        match number {
            Some(number) => Ok(Self { number, held: bound(number).ok() }),
            None => Self::free(),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// To be called just before a server starts on it. Only Linux lets it in while the port is held.
    pub fn let_in(&mut self) {
        if !cfg!(target_os = "linux") {
            self.held = None;
        }
    }
}

/// Reusable, as the server's own socket is: that is what lets both bind the same port.
fn bound(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

/// Starts again, on other ports, where someone took one between its finding and its use.
pub(crate) async fn on_free_ports<T>(mut start: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match start().await {
            Err(Error::Exited { log, .. }) if tries < TRIES && log.contains("address already in use") => {
                tries += 1;
            }
            ended => return ended,
        }
    }
}
