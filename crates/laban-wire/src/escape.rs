//! Any text in one subject token: percent-encoding of every byte that is not plain.

/// Bytes that stand for themselves. NATS forbids `.`, `*`, `>`, white space and control characters in a token;
/// everything outside ASCII is escaped too, so that tools with other ideas of text agree on the bytes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':' | b'@' | b'+' | b'=' | b',')
}

/// Whether `text` is its own token, as most keys are.
pub(crate) fn is_plain_text(text: &str) -> bool {
    text.bytes().all(is_plain)
}

/// Escapes `text` into one subject token.
pub(crate) fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut token = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if is_plain(byte) {
            token.push(char::from(byte));
        } else {
            token.push('%');
            token.push(char::from(HEX[usize::from(byte >> 4)]));
            token.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    token
}

/// Reverses [`escape`]. `None` when the token was not made by it: a bad escape, bytes that are not UTF-8, or a
/// spelling that [`escape`] would not have chosen (two tokens for one key would be two flows).
pub(crate) fn unescape(token: &str) -> Option<String> {
    percent_decoded(token).filter(|text| escape(text) == token)
}

/// Undoes percent-encoding, however it was spelt. `None` for a bad escape, and for bytes that are not UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_round_trips() {
        for text in ["4711", "a.b c*d>e", "🦀 Köln", "%41", "\r\n\0\t", "$JS.API", "a/b?c"] {
            let token = escape(text);
            assert!(token.bytes().all(|b| is_plain(b) || b == b'%'), "{token}");
            assert_eq!(unescape(&token).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_second_spelling_of_a_key_is_refused() {
        for token in ["%34711", "%c3%b6", "%", "%4", "%zz", "a.b", "ö", "%FF"] {
            assert_eq!(unescape(token), None, "{token}");
        }
    }
}
