//! Clients that send whatever bytes they are told to; the usual libraries refuse to.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;

/// A NATS client of bytes.
#[derive(Debug)]
pub struct RawNats(TcpStream);

impl RawNats {
    /// Connects to the broker at this port.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn connect(port: u16) -> Outcome<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let hello = br#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"protocol":1}"#;
        stream.write_all(hello).await?;
        stream.write_all(b"\r\n").await?;
        let mut raw = Self(stream);
        raw.flush().await?;
        Ok(raw)
    }

    /// Publishes a message with this header block, as it is, and waits until the broker has it.
    ///
    /// # Errors
    /// With the broker's words when it hangs up.
    pub async fn publish(&mut self, subject: &str, header_block: &[u8], body: &[u8]) -> Outcome {
        let (head, total) = (header_block.len(), header_block.len() + body.len());
        self.0.write_all(format!("HPUB {subject} {head} {total}\r\n").as_bytes()).await?;
        self.0.write_all(header_block).await?;
        self.0.write_all(body).await?;
        self.0.write_all(b"\r\n").await?;
        self.flush().await
    }

    async fn flush(&mut self) -> Outcome {
        self.0.write_all(b"PING\r\n").await?;
        let mut said = Vec::new();
        while !said.windows(4).any(|bytes| bytes == b"PONG") {
            if self.0.read_buf(&mut said).await? == 0 {
                return Err(format!("the broker hung up: {}", String::from_utf8_lossy(&said)).into());
            }
        }
        let said = String::from_utf8_lossy(&said);
        if said.contains("-ERR") { Err(format!("the broker said: {said}").into()) } else { Ok(()) }
    }
}

/// An HTTP client of bytes.
#[derive(Debug)]
pub struct RawHttp;

impl RawHttp {
    /// Posts an order with these header lines, as they are; returns the status and all that was answered.
    ///
    /// # Errors
    /// When nobody answers, or not by HTTP.
    pub async fn post(url: &str, header_lines: &[u8], body: &[u8]) -> Outcome<(u16, String)> {
        let address = url.trim_start_matches("http://").trim_end_matches("/orders");
        let mut stream = TcpStream::connect(address).await?;
        let head = format!(
            "POST /orders HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(b"content-type: application/json\r\n").await?;
        stream.write_all(header_lines).await?;
        stream.write_all(b"\r\n").await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        Ok((status.ok_or_else(|| format!("no HTTP: {answer}"))?, answer))
    }
}
