//! `laban metrics health`: what an image without a shell asks the one that runs.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::{Failure, http, terminal};

/// A probe that takes longer has failed: a health check's own patience is not much more.
const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 4096;

/// What `--help` says of them.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  it runs
  1  it does not, or somebody else listens there
  2  the command line is wrong, a variable, or the port is not known";

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
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
