//! Bodies as they are read best, and can still be edited: nothing but white space changes.

use laban_wire::Payload;

/// A body for a reader.
pub(super) fn readable(payload: &Payload) -> String {
    match payload {
        Payload::Json(json) => indented(json.get()),
        Payload::Text(text) => text.clone(),
        Payload::Base64(text) => format!("(base64) {text}"),
    }
}

/// Valid JSON with a line for each member: numbers and the order of members stay as they were written.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(2 * json.len());
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut rest = json.chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).peekable();
    while let Some(c) = rest.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        let line = |text: &mut String, depth: usize| {
            text.push('\n');
            text.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            ' ' => {}
            '{' | '[' => {
                text.push(c);
                while rest.next_if_eq(&' ').is_some() {}
                if let Some(end) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
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
    }
}
