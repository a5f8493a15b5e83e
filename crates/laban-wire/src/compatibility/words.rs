//! What has changed, in words.

use serde_json::Value;

use super::shape::{Number, Shape, Text, kind};

/// A constant as somebody would write it.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn bare(kind: &str) -> &str {
    kind.strip_prefix("a ").or_else(|| kind.strip_prefix("an ")).unwrap_or(kind)
}

pub(super) fn in_words(shapes: &[Shape<'_>]) -> String {
    let mut kinds: Vec<_> = shapes.iter().map(kind).collect();
    kinds.dedup();
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(" or ") }
}

pub(super) fn narrower_number(old: Number, new: Number) -> Option<String> {
    let range = |number: Number| match (number.min.is_finite(), number.max.is_finite()) {
        (true, true) => format!("from {} to {}", bound(number.min), bound(number.max)),
        (true, false) => format!("from {}", bound(number.min)),
        (false, true) => format!("up to {}", bound(number.max)),
        (false, false) => "of any size".to_owned(),
    };
    (new.min > old.min || new.max < old.max)
        .then(|| format!("was a number {}, is now one {}", range(old), range(new)))
}

/// The ends of the longer formats are powers of two, and read better as such.
fn bound(bound: f64) -> String {
    let power = bound.abs().log2();
    let sign = if bound < 0.0 { "-" } else { "" };
    if power >= 63.0 && power.fract() == 0.0 { format!("{sign}2^{power}") } else { bound.to_string() }
}

pub(super) fn narrower_text(old: Text<'_>, new: Text<'_>) -> Option<String> {
    if let Some(format) = new.format.filter(|_| new.format != old.format) {
        let before =
            old.format.map_or("any text".to_owned(), |before| format!("text of the format {before}"));
        return Some(format!("was {before}, is now text of the format {format}"));
    }
    if let Some(pattern) = new.pattern.filter(|_| new.pattern != old.pattern) {
        return Some(format!("must now match {pattern}"));
    }
    if new.min > old.min {
        return Some(format!("is now text of {} characters at least", new.min));
    }
    (new.max < old.max).then(|| format!("is now text of {} characters at most", new.max))
}
