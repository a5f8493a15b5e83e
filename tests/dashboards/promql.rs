//! Which metrics an expression names. Whether it is one at all is Prometheus' to say.

use std::collections::BTreeSet;

const WORDS: [&str; 12] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "atan2",
];
/// What a list of labels comes after.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The names of the time series that it asks for.
pub(crate) fn series(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_alphabetic() || matches!(first, '_' | ':') {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':'));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            let after = after.trim_start();
            if BEFORE_LABELS.contains(&word) && after.starts_with('(') {
                rest = skip(after, ')');
                continue;
            }
            // `sum (…)`, `sum by (…) (…)`.
            let called =
                ["(", "by ", "by(", "without ", "without("].iter().any(|next| after.starts_with(next));
            if !WORDS.contains(&word) && !called {
                found.insert(word.to_owned());
            }
            rest = after;
        } else {
            rest = match first {
                '{' => skip(rest, '}'),
                '[' => skip(rest, ']'),
                // A number, with what may come after it, such as 1e3.
                '0'..='9' => {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
                    &rest[end.unwrap_or(rest.len())..]
                }
                _ => &rest[first.len_utf8()..],
            };
        }
    }
    found
}

/// What comes after the next `end` that is not in quotes.
fn skip(text: &str, end: char) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == end && !quoted => return &text[index + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

#[test]
fn labels_functions_and_words_are_no_series() {
    let named = |expression| series(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(
        named(
            r#"sum by (le, laban_service) (rate(a_bucket{le=~"5(\\.0)?}", b="c"}[5m])) * on (job) group_left (x) d"#
        ),
        ["a_bucket", "d"]
    );
    assert_eq!(named("histogram_quantile(0.95, f) > 1e3 or vector(0) unless g offset 5m"), ["f", "g"]);
}
