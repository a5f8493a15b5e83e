//! Asking others by plain HTTP, within limits.

use std::time::Duration;

use laban_wire::error_chain;

/// An address as it is typed, without a slash at its end.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").filter(|rest| !rest.is_empty());
    rest.map(|_| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| format!("`{text}` is no address such as `http://127.0.0.1:16686`"))
}

/// What is there; nothing for a 404. An answer that takes longer, or has more bytes, is an error.
pub(crate) async fn get(url: &str, patience: Duration, largest: usize) -> Result<Option<Vec<u8>>, String> {
    let asking = async {
        let mut answer = reqwest::get(url).await.map_err(|e| error_chain(&e))?;
        match answer.status().as_u16() {
            404 => return Ok(None),
            200 => {}
            status => {
                let said = answer.chunk().await.ok().flatten().unwrap_or_default();
                return Err(format!("it answers {status} {}", first_words(&said)).trim_end().to_owned());
            }
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|e| error_chain(&e))? {
            body.extend_from_slice(&part);
            if body.len() > largest {
                return Err(format!("an answer of more than {} MiB", largest >> 20));
            }
        }
        Ok(Some(body))
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
}

/// Enough of a text to tell what it is about, on one line.
fn first_words(text: &[u8]) -> String {
    String::from_utf8_lossy(text).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
