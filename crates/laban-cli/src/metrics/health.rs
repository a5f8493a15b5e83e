//! `laban metrics health`: what an image without a shell asks the one that runs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::{Failure, http, terminal};

/// A probe that takes longer has failed: a health check's own patience is not much more.
const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 4096;

/// Whether somebody serves there.
pub(super) async fn ask(listen: SocketAddr) -> Result<(), Failure> {
    if listen.port() == 0 {
        let reason = "LABAN_METRICS_ADDR, or --listen, leaves the port to the system, so it is not known here: name one";
        return Err(Failure::Usage(reason.to_owned()));
    }
    let address = reachable(listen);
    let unwell = |why: String| Failure::NotDone(format!("nobody is well at {address}: {why}"));
    match http::get(&format!("http://{address}/livez"), PATIENCE, LARGEST).await {
        Ok(Some(said)) => terminal::print(&String::from_utf8_lossy(&said)),
        Ok(None) => Err(unwell("whoever listens there is not `laban metrics`".to_owned())),
        Err(why) => Err(unwell(why)),
    }
}

/// Where one is reached that listens at all of its host's addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
