//! Header blocks as they are stored, which may be malformed.

use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// Parses a raw header block, skipping lines that are no header: whatever a client stored must stay readable. Says what
/// is wrong with it, if anything.
pub(super) fn parse(raw: &[u8]) -> (HeaderMap, Option<String>) {
    let mut headers = HeaderMap::new();
    let mut malformed = None;
    let mut wrong = |what: String| malformed = malformed.take().or(Some(what));
    if raw.is_empty() {
        return (headers, None);
    }
    let text = String::from_utf8_lossy(raw);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        wrong("it is not UTF-8".to_owned());
    }
    let mut lines = text.lines();
    match lines.next() {
        Some(line) if line.strip_prefix("NATS/1.0").is_some_and(is_status) => {}
        first => wrong(format!("it begins with `{}`, not `NATS/1.0`", first.unwrap_or_default())),
    }
    let mut lines = lines.filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let Some((name, value)) = line.split_once(':') else {
            wrong(format!("`{line}` is no header"));
            continue;
        };
        // A value goes on in lines that begin with white space.
        let mut value = value.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        match (name.parse::<HeaderName>(), value.trim().parse::<HeaderValue>()) {
            (Ok(name), Ok(value)) => headers.append(name, value),
            _ => wrong(format!("`{name}` cannot be a header's name, or its value is broken")),
        }
    }
    (headers, malformed)
}

/// What may follow the version: nothing, or a status of three digits and its description.
fn is_status(text: &str) -> bool {
    let status = text.split_ascii_whitespace().next().unwrap_or_default();
    status.is_empty()
        || (status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit()) && !status.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_header_block_is_read_as_far_as_it_goes() {
        let (headers, malformed) =
            parse(b"NATS/1.0\r\na: 1\r\nno colon\r\nbad name: 2\r\nb:\xff\r\na:2\r\n\r\n");
        let all: Vec<_> = headers.get_all("a").map(|v| v.as_str()).collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(headers.get("b").map(|v| v.as_str()), Some("\u{fffd}"));
        assert_eq!(headers.len(), 2);
        assert_eq!(malformed.as_deref(), Some("it is not UTF-8"));
    }

    #[test]
    fn what_a_client_library_refuses_is_named() {
        let malformed = |raw: &[u8]| parse(raw).1;
        assert_eq!(malformed(b""), None);
        assert_eq!(malformed(b"NATS/1.0\r\na: 1\r\n\r\n"), None);
        assert_eq!(malformed(b"NATS/1.0\r\na: 1\r\n more\r\n\r\n"), None);
        for (raw, named) in [
            (&b"NATS/1.0\r\nno colon\r\n\r\n"[..], "`no colon` is no header"),
            (b"NATS/1.0\r\na: 1\r2\r\n\r\n", "its value is broken"),
            (b"NATS/1.0\r\nbad name: 1\r\n\r\n", "`bad name` cannot be"),
            (b"HTTP/1.1\r\na: 1\r\n\r\n", "`HTTP/1.1`, not `NATS/1.0`"),
            (b"NATS/1.0 many\r\na: 1\r\n\r\n", "`NATS/1.0 many`, not"),
        ] {
            let reason = malformed(raw).unwrap();
            assert!(reason.contains(named), "{reason}");
        }
    }
}
