//! Space in JSON: put in and taken out without touching anything else, so that numbers and the order of members stay.

/// Valid JSON with a line for each member: numbers and the order of members stay as they were written, and so does all
/// else but white space.
///
/// ```
/// let json = laban_wire::indented(r#"{"amount":1.50,"lines":[]}"#);
/// assert_eq!(json, "{\n  \"amount\": 1.50,\n  \"lines\": []\n}");
/// ```
pub fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut tokens = tokens(json).peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(token) = tokens.next() {
        match token {
            "{" | "[" => {
                out.push_str(token);
                if let Some(end @ ("}" | "]")) = tokens.peek().copied() {
                    out.push_str(end);
                    tokens.next();
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push_str(token);
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            ":" => out.push_str(": "),
            other => out.push_str(other),
        }
    }
    out
}

/// JSON without space between its tokens.
pub(crate) fn compact(json: &str) -> String {
    tokens(json).collect()
}

/// The tokens of valid JSON.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let end = match rest.bytes().next()? {
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            b'"' => end_of_string(rest),
            _ => rest.find(|c: char| "{}[],:\" \t\r\n".contains(c)).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token)
    })
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_otherwise_left_alone() {
        let json = r#"{"b":1.50,"a":[ ],"c":[{"q":"x\\\"{,:"}, 1e3,{}] ,"ö":null}"#;
        let text = indented(json);
        assert_eq!(
            text,
            "{\n  \"b\": 1.50,\n  \"a\": [],\n  \"c\": [\n    {\n      \"q\": \"x\\\\\\\"{,:\"\n    },\n    1e3,\n    {}\n  ],\n  \"ö\": null\n}"
        );
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(json));
        assert_eq!(indented(&text), text);
        assert_eq!(indented("[1 ]"), "[\n  1\n]");
        assert_eq!(indented("\"a\""), "\"a\"");
        assert_eq!(compact(&text), compact(json));
    }
}
