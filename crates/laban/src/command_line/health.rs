//! `health`: what an image without a shell asks its own service, and an operator theirs.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A probe that takes longer has failed: a health check's own patience is not much more.
const PATIENCE: Duration = Duration::from_secs(3);
/// The head of an answer and a few words.
const MOST_BYTES: u64 = 4096;

/// Whether the service that listens at `LABAN_HTTP_ADDR` is ready, and what it says.
pub(super) fn ask(address: Option<&str>) -> Result<String, Unwell> {
    let Some(text) = address.filter(|text| !text.is_empty()) else {
        return Err(Unwell::Settings("LABAN_HTTP_ADDR is not set, so nobody can be asked".to_owned()));
    };
    let address: SocketAddr = text.parse().map_err(|_| {
        Unwell::Settings(format!(
            "LABAN_HTTP_ADDR is `{text}`: it is an address and a port, such as 127.0.0.1:9464"
        ))
    })?;
    if address.port() == 0 {
        let reason = "LABAN_HTTP_ADDR leaves the port to the system, so it is not known here: name one";
        return Err(Unwell::Settings(reason.to_owned()));
    }
    let address = reachable(address);
    let answer = get(address).map_err(|error| Unwell::NotReady(format!("nobody at {address}: {error}")))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim().to_owned();
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(body),
        Some("503") => Err(Unwell::NotReady(body)),
        _ => Err(Unwell::NotReady(format!("whoever listens at {address} is not a Laban service"))),
    }
}

/// Why it is not well.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwell {
    /// It is not ready, or not there.
    NotReady(String),
    /// Nobody can be asked.
    Settings(String),
}

/// Where a service is reached that listens at all of its host's addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn get(address: SocketAddr) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// Answers one question, and says where.
    fn answering(with: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            // To its end: a connection that is closed with something unread is broken for the other side.
            let mut asked = String::new();
            let mut lines = BufReader::new(&connection);
            while !asked.ends_with("\r\n\r\n") {
                assert!(lines.read_line(&mut asked).unwrap() > 0, "{asked:?} has no end");
            }
            assert!(asked.starts_with("GET /readyz HTTP/1.1\r\n"), "{asked}");
            connection.write_all(with.as_bytes()).unwrap();
        });
        address.to_string()
    }

    #[test]
    fn what_a_service_says_is_passed_on() {
        let ready = answering("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n");
        // As a container is told where to listen.
        let everywhere = ready.replace("127.0.0.1", "0.0.0.0");
        assert_eq!(ask(Some(&everywhere)), Ok("ready".to_owned()));
        let draining = answering("HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\n");
        assert_eq!(ask(Some(&draining)), Err(Unwell::NotReady("draining".to_owned())));
        let another = answering("220 mail\r\n");
        assert!(
            matches!(ask(Some(&another)), Err(Unwell::NotReady(why)) if why.contains("not a Laban service"))
        );
    }

    #[test]
    fn nobody_there_and_nobody_to_ask_are_told_apart() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert!(matches!(ask(Some(&gone)), Err(Unwell::NotReady(why)) if why.contains(&gone)));
        for address in [None, Some(""), Some("9464"), Some("127.0.0.1:0")] {
            let answer = ask(address);
            assert!(
                matches!(&answer, Err(Unwell::Settings(why)) if why.contains("LABAN_HTTP_ADDR")),
                "{address:?}: {answer:?}"
            );
        }
    }
}
