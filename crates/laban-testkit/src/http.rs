//! As much HTTP as a health check needs.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whether a GET of this path is answered with 200 at this address.
pub(crate) async fn is_ok(address: &str, path: &str) -> bool {
    status(address, path).await == Some(200)
}

async fn status(address: &str, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await.ok()?;
    let first = std::str::from_utf8(answer.split(|b| *b == b'\r').next()?).ok()?;
    first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}
