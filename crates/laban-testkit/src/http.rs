//! As much HTTP as health checks and monitoring need.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than a list of thousands of consumers.
const MOST: u64 = 16 * 1024 * 1024;

/// Whether a GET of this path is answered with 200 at this address.
pub(crate) async fn is_ok(address: &str, path: &str) -> bool {
    get(address, path).await.is_some()
}

/// What a GET of this path brings at this address, if it is JSON with a 200.
pub(crate) async fn json(address: &str, path: &str) -> Option<serde_json::Value> {
    serde_json::from_slice(&get(address, path).await?).ok()
}

/// The body of an answer with 200.
async fn get(address: &str, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    // 1.0: the body comes as it is, and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await.ok()?;
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")?;
    let status = std::str::from_utf8(&answer[..head]).ok()?.split(' ').nth(1)?;
    (status == "200").then(|| answer.split_off(head + 4))
}
