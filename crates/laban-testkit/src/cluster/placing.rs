//! Whether new streams would find a place: nothing shows it but a request for one.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A meta leader answers at once; without one there is no answer.
const ANSWER: Duration = Duration::from_secs(1);

/// A stream for nodes with a tag that none has: refused with all reasons why nodes were passed over, and without a trace.
const STREAM: &str = r#"{"name":"laban-testkit-asks","subjects":["laban-testkit-asks"],"retention":"limits",
    "storage":"memory","num_replicas":1,"placement":{"tags":["laban-testkit-asks"]}}"#;

/// Why not, if not; where clients need a password, or more, nobody can ask.
pub(super) async fn refused(node: SocketAddr) -> Option<String> {
    let Ok(Ok(answer)) = tokio::time::timeout(ANSWER, ask(node)).await else {
        return Some("JetStream does not answer".into());
    };
    let answer: Value = serde_json::from_str(&answer?).unwrap_or_default();
    let why = answer["error"]["description"].as_str().unwrap_or_default();
    // A node counts as such until the meta leader knows what it can store.
    let known = why.contains("tags not matched") && !why.contains("peer offline");
    (!known).then(|| format!("new streams find no place ({why})"))
}

/// The answer to a request for the stream; `None` if this is not for everybody to ask.
async fn ask(node: SocketAddr) -> std::io::Result<Option<String>> {
    let mut stream = BufReader::new(TcpStream::connect(node).await?);
    let inbox = format!("_INBOX.laban-testkit.{}", stream.get_ref().local_addr()?.port());
    let size = STREAM.len();
    let request = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB {inbox} 1\r\n\
         PUB $JS.API.STREAM.CREATE.laban-testkit-asks {inbox} {size}\r\n{STREAM}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut lines = stream.lines();
    while let Some(line) = lines.next_line().await? {
        if line.starts_with("-ERR") {
            return Ok(None);
        }
        if line.starts_with("MSG ") {
            return lines.next_line().await;
        }
    }
    Ok(None)
}
